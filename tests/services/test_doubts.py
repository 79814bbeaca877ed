"""A retry that nothing speaks for is done all the same, and says so."""

from pathlib import Path

import pytest

from engine.domain.diagnosis import RetrySafety
from engine.domain.values import ExecutionId
from engine.errors import Conflict
from engine.services import diagnosis, doubts, executions
from tests.services.conftest import ME, Build, House
from tests.support.providers import kind, script, workflow, write_provider
from tests.support.score import score

ASKS = [
    {"name": "ask", "type": "resource-provisioning", "config": {"type": "odd", "name": "it", "application": "asked"}}
]


def deep() -> str:
    """What is within an output is known only once it is there: here it never is."""
    return score(db="database", late={"type": "database", "params": {"note": "${resources.db.host.deep}"}})


def test_a_retry_that_cannot_help_runs_and_warns(house: House) -> None:
    house.submit(deep())
    house.rest()
    late = house.resources("shop")["late"]
    why = diagnosis.of_resource(house.platform, late.id)
    assert why is not None
    assert why.retry.safety is RetrySafety.POINTLESS
    again = doubts.retry_resource(house.platform, ME, late.id)
    assert again.execution_id == late.execution_id
    assert "pointless" in again.warning
    assert why.retry.why in again.warning
    house.rest()
    assert doubts.retry_execution(house.platform, ME, again.execution_id) == again


def test_a_retry_that_may_help_or_does_something_newer_does_not_warn(house: House, tmp_path: Path) -> None:
    house.submit(score("frail", it={"type": "fragile", "params": {"needs_file": str(tmp_path / "never")}}))
    house.submit(score("late", it="gated"))
    house.rest()
    assert doubts.retry_resource(house.platform, ME, house.resources("frail")["it"].id).warning == ""
    with pytest.raises(Conflict):
        doubts.retry_resource(house.platform, ME, house.resources("late")["it"].id)


def test_what_waited_for_something_that_has_been_mended_since_is_not_warned(build: Build, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    make = workflow([script("makes", f"test -e '{flag}' || exit 78")])
    folder = write_provider(tmp_path / "odd", kinds={"odd": kind("make")}, workflows={"make": make})
    golden = write_provider(tmp_path / "gold", name="gold", golden={"asks": workflow(ASKS)})
    house = build(folder, golden)
    run = _executed(house, "asks")
    why = diagnosis.of_execution(house.platform, run)
    assert why is not None
    assert (why.node.resource, why.retry.safety) == ("odd/asked.it", RetrySafety.POINTLESS)
    flag.touch()
    inner = why.node.resource_id
    assert inner is not None
    assert doubts.retry_resource(house.platform, ME, inner).warning
    house.rest()
    mended = diagnosis.of_execution(house.platform, run)
    assert mended is not None
    assert mended.retry.safety is RetrySafety.SAFE
    assert "as `odd/asked.it` is there now" in mended.retry.why
    assert doubts.retry_execution(house.platform, ME, run) == (run, "")


def _executed(house: House, name: str) -> ExecutionId:
    run = executions.execute(house.platform, ME, name, {})
    assert run is not None
    house.rest()
    return run
