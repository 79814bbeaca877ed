"""An operator pauses all claiming, through the service, over REST and from the command line."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cli import compose, web
from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.services import claiming, executions, timeline
from tests.services.conftest import ME, Build, House
from tests.support.platforms import until
from tests.support.rest import problem
from tests.support.score import score


def ended(house: House, execution_id: ExecutionId) -> ExecutionState | None:
    state = executions.get(house.platform, execution_id).execution.state
    return state if state in {ExecutionState.SUCCEEDED, ExecutionState.FAILED} else None


def test_what_runs_goes_on_and_what_comes_waits_until_somebody_resumes(house: House) -> None:
    hello = lambda: executions.execute(house.platform, ME, "hello", {"name": "x"})  # noqa: E731 - one line
    waiting = executions.execute(house.platform, ME, "waiting", {})
    assert waiting is not None
    house.rest()
    paused = claiming.pause(house.platform, ME, reason="the disk is being changed")
    assert paused.paused is not None
    assert (paused.paused.actor, paused.paused.reason) == (str(ME), "the disk is being changed")
    assert claiming.pause(house.platform, ME, reason="another").paused == paused.paused, "the first pause stays"
    started = hello()
    assert started is not None
    (run,) = executions.listed(house.platform, state="waiting").items
    executions.resume(house.platform, ME, run.id, "gate")
    engine = house.running.engine
    assert engine is not None
    engine.sweep()
    assert claiming.state(house.platform).queued == 1
    assert executions.get(house.platform, run.id).execution.state is ExecutionState.WAITING

    assert claiming.resume(house.platform, ME).paused is None
    assert until(lambda: ended(house, started)) is ExecutionState.SUCCEEDED
    assert until(lambda: ended(house, run.id)) is ExecutionState.SUCCEEDED
    claiming.resume(house.platform, ME)
    facts = [f for f in timeline.listed(house.platform).items if f.kind.startswith("claiming.")]
    assert [(f.kind, f.actor, f.data["reason"]) for f in facts] == [
        ("claiming.paused", str(ME), "the disk is being changed"),
        ("claiming.resumed", str(ME), "the disk is being changed"),
    ]


@pytest.mark.parametrize("engine", [True, False])
def test_over_rest_and_readiness_tells_of_it_with_an_engine_inside_and_without(build: Build, *, engine: bool) -> None:
    house = build(engine=engine)
    door = TestClient(web.doors(house.running, token="t"), base_url="http://localhost")
    door.headers["Authorization"] = "Bearer t"
    assert door.get("/api/admin/claiming").json()["paused"] is False
    assert door.get("/ready").json() == {"status": "ready"}
    told = door.post("/api/admin/pause", json={"reason": "upgrade"})
    assert (told.status_code, told.json()["paused"], told.json()["by"]) == (200, True, "api_key:token")
    ready = door.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["reason"] == "claiming is paused by api_key:token: upgrade"
    assert door.get("/api/admin/claiming").json()["reason"] == "upgrade"
    assert door.post("/api/admin/resume").json()["paused"] is False
    assert door.get("/ready").json() == {"status": "ready"}
    assert door.post("/api/admin/pause").json()["reason"] == ""
    problem(door.post("/api/admin/pause", json={"why": "x"}), 422, "invalid_request")
    problem(door.post("/api/admin/pause", json={"reason": "x" * 501}), 422, "invalid_request")


@pytest.mark.parametrize("build", ["postgresql"], indirect=True)
def test_another_engine_of_the_same_database_claims_nothing_either(build: Build, tmp_path: Path) -> None:
    house = build(engine=False)
    claiming.pause(house.platform, ME)
    started = executions.execute(house.platform, ME, "hello", {"name": "x"})
    assert started is not None
    settings = house.settings.model_copy(update={"data_dir": tmp_path / "other", "sweep_seconds": 0.1})
    other = compose.start(settings)
    try:
        assert other.engine is not None
        other.engine.sweep()
        assert claiming.state(house.platform).queued == 1
        claiming.resume(house.platform, ME)
        assert until(lambda: ended(house, started)) is ExecutionState.SUCCEEDED
    finally:
        other.close(grace=0)


def test_what_is_cancelled_meanwhile_ends_at_once_with_all_that_follows(house: House) -> None:
    asleep = executions.execute(house.platform, ME, "waiting", {})
    assert asleep is not None
    house.rest()
    claiming.pause(house.platform, ME)
    queued = executions.execute(house.platform, ME, "hello", {"name": "x"})
    assert queued is not None
    (makes,) = house.submit(score(db="database")).execution_ids
    for execution_id in (asleep, queued, makes):
        executions.cancel(house.platform, ME, execution_id)
    for execution_id in (asleep, queued, makes):
        end = executions.wait(house.platform, execution_id, seconds=8)
        assert (end.execution.state, end.execution.reason) == ("cancelled", "cancelled")
    assert [(step.name, step.state) for step in executions.get(house.platform, asleep).steps] == [("gate", "cancelled")]
    assert executions.get(house.platform, queued).steps == ()
    made = house.resources("shop")
    assert (made["db"].state, made["db"].reason) == ("failed", "cancelled")
    assert made["workload"].blocked_by == made["db"].id
    assert claiming.state(house.platform).queued == 0
