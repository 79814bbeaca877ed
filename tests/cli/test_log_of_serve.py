"""What a person reads in the log of `innominatus serve`."""

import json
from pathlib import Path
from typing import Any

from tests.support.platforms import until
from tests.support.providers import kind, workflow, write_provider
from tests.support.served import start

SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers: {main: {image: v1}}
resources: {db: {type: thing}}
"""
LOOK = workflow([{"name": "looked", "type": "set", "config": {"values": {"fine": True}}}])


def test_good_health_checks_are_told_for_debugging_only_and_nothing_empty_is(tmp_path: Path) -> None:
    kinds = {"thing": kind(read="look"), "workload": kind()}
    provider = write_provider(tmp_path / "team", kinds=kinds, workflows={"look": LOOK}, golden={"alone": LOOK})
    served = start(
        tmp_path / "data",
        INNOMINATUS_PROVIDERS=str(provider),
        INNOMINATUS_HEALTH_SECONDS="0.2",
        INNOMINATUS_SWEEP_SECONDS="0.1",
        INNOMINATUS_LOG_LEVEL="DEBUG",
    )
    log = tmp_path / "data.log"

    def ended(name: str) -> list[dict[str, Any]]:
        whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line["event"] == "execution.ended" and line["workflow"] == name]

    try:
        assert served.ctl("deploy", "-", "-w", stdin=SPEC).code == 0
        assert served.ctl("run", "alone", "-w").code == 0
        levels = {name: {line["level"] for line in until(lambda name=name: ended(name))} for name in ("look", "noop")}
        assert levels == {"look": {"debug"}, "noop": {"info"}}
        (alone,) = until(lambda: ended("alone"))
        assert set(alone) == {"event", "level", "timestamp", "state", "execution", "workflow"}
    finally:
        assert served.stop() == 0
