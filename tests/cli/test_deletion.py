"""A deletion that does not get through, watched from the command line."""

from pathlib import Path

from tests.support.providers import kind, script, workflow, write_provider
from tests.support.served import start

SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers: {main: {image: v1}}
resources: {db: {type: thing}}
"""


def test_watching_ends_when_the_rest_is_blocked_by_what_failed_and_the_error_stands_in_its_history(
    tmp_path: Path,
) -> None:
    refuses = workflow([script("refuses", "echo the volume is in use >&2; exit 78")])
    kinds = {"thing": kind(), "workload": kind(delete="refuses")}
    provider = write_provider(tmp_path / "team", kinds=kinds, workflows={"refuses": refuses})
    served = start(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    try:
        assert served.ctl("deploy", "-", "-w", "-e", "staging", stdin=SPEC).code == 0
        done = served.ctl("delete", "shop", "--yes", "-w", "-e", "staging")
        assert done.code == 1
        assert "could not be deleted whole" in done.err
        assert "Look: innominatus-ctl status shop --environment staging" in done.err
        history = served.ctl("resource", "workload/shop").out.partition("newest first")[2]
        assert "the volume is in use" in history
    finally:
        assert served.stop() == 0
