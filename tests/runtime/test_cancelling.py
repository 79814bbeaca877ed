"""A person ends an execution: pending, asleep, at work."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.runtime.engine import Engine
from engine.services import executions
from engine.store import executions as execution_rows
from tests.support.platforms import ME, House, until
from tests.support.providers import kind, script, values, workflow

DIR = [{"name": "dir", "type": "string", "required": True}]
SLOW = 'echo $$ >> "$PARAM_DIR/pids"; sleep 60 & echo $! >> "$PARAM_DIR/pids"; wait'

SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers: {main: {image: v1}}
resources: {db: {type: thing}}
"""
KINDS = {"thing": kind(), "workload": kind()}
SETTINGS = {"sweep_seconds": 3600.0}
GOLDEN = {
    "slow": workflow([script("sleeps", SLOW), values("after", a=1)], parameters=DIR),
    "gate": workflow([{**values("gate", b=2), "when": "manual"}, values("after", c=3)]),
    "parent": workflow([{"name": "child", "type": "workflow", "config": {"workflow": "gate"}}]),
    "wide": workflow(
        [{**script(f"s{i}", f'echo s{i} >> "$PARAM_DIR/begun"; sleep 60'), "needs": []} for i in range(12)],
        parameters=DIR,
    ),
    "effects": workflow(
        [
            {**script("quick", 'echo quick >> "$PARAM_DIR/effects"'), "needs": []},
            {**script("slow", '[ -e "$PARAM_DIR/go" ] || { touch "$PARAM_DIR/there"; sleep 60; }'), "needs": ["quick"]},
        ],
        parameters=DIR,
    ),
}


def cancel(house: House, execution_id: ExecutionId) -> ExecutionState:
    executions.cancel(house.platform, ME, execution_id)
    return house.ended(execution_id, seconds=2).state


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_running_program_is_gone_within_two_seconds_with_its_children(house: House, tmp_path: Path) -> None:
    execution_id = house.execute("slow", dir=str(tmp_path))
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    assert cancel(house, execution_id) == "cancelled"
    assert not any(running(int(pid)) for pid in pids.read_text().split())
    assert house.step_states(execution_id) == [("sleeps", 1, "cancelled")]
    assert house.execution(execution_id).reason == "cancelled"


def test_a_waiting_execution_ends_at_once(house: House) -> None:
    execution_id = house.execute("gate")
    house.step_in(execution_id, "gate", "waiting")
    assert cancel(house, execution_id) == "cancelled"
    assert house.step_states(execution_id) == [("gate", 1, "cancelled")]


def test_the_child_that_is_waited_for_ends_with_its_parent(house: House) -> None:
    parent = house.execute("parent")
    child = ExecutionId(house.step_in(parent, "child", "waiting").wait_ref or 0)
    house.step_in(child, "gate", "waiting")
    assert cancel(house, parent) == "cancelled"
    assert house.ended(child, seconds=2).state == "cancelled"
    assert house.step_states(parent) == [("child", 1, "cancelled")]
    house.retry(parent)
    house.step_in(child, "gate", "waiting")
    executions.resume(house.platform, ME, child, "gate")
    assert house.ended(parent).state == "succeeded"


def test_no_step_begins_after_the_cancellation(house: House, tmp_path: Path) -> None:
    execution_id = house.execute("wide", dir=str(tmp_path))
    begun = tmp_path / "begun"
    until(lambda: begun.exists() and len(begun.read_text().split()) == 8)  # as many as run side by side
    assert cancel(house, execution_id) == "cancelled"
    assert len(begun.read_text().split()) == 8
    assert {state for *_, state in house.step_states(execution_id)} == {"cancelled"}
    assert len(house.steps(execution_id)) == 12


def test_what_was_done_before_the_cancellation_is_not_done_again_by_a_retry(house: House, tmp_path: Path) -> None:
    execution_id = house.execute("effects", dir=str(tmp_path))
    until((tmp_path / "there").exists)
    assert cancel(house, execution_id) == "cancelled"
    (tmp_path / "go").touch()
    again = house.ended(house.retry(execution_id))
    assert (again.state, again.attempt) == ("succeeded", 2)
    assert (tmp_path / "effects").read_text().split() == ["quick"]
    assert house.step_states(execution_id) == [
        ("quick", 1, "succeeded"), ("slow", 1, "cancelled"), ("slow", 2, "succeeded")
    ]  # fmt: skip


@pytest.fixture
def busy(house: House, tmp_path: Path) -> Iterator[list[ExecutionId]]:
    """Runs that hold all threads until they are cancelled."""
    ids = [house.execute("slow", dir=str(tmp_path)) for _ in range(4)]
    for execution_id in ids:
        house.step_in(execution_id, "sleeps", "running")
    yield ids
    for execution_id in ids:
        assert cancel(house, execution_id) == "cancelled"


def test_an_execution_that_is_queued_never_begins_and_ends_though_all_threads_are_taken(
    house: House, busy: list[ExecutionId]
) -> None:
    queued = [house.execute("gate") for _ in range(12)]
    for execution_id in queued[1:]:
        executions.cancel(house.platform, ME, execution_id)
    assert {house.ended(found).state for found in queued[1:]} == {ExecutionState.CANCELLED}
    assert [house.steps(found) for found in queued[1:]] == [[]] * 11
    assert {house.execution(found).state for found in busy} == {ExecutionState.RUNNING}
    assert house.execution(queued[0]).state == "pending", "nobody holds what there is no thread for"
    assert cancel(house, busy.pop()) == "cancelled"
    house.step_in(queued[0], "gate", "waiting")
    assert cancel(house, queued[0]) == "cancelled"
    until(lambda: len(list((house.platform.settings.data_dir / "workspaces").iterdir())) == len(busy))


@pytest.mark.parametrize("heard", [Engine.offer, Engine.sweep], ids=["by a nudge", "by a sweep"])
def test_what_another_process_cancels_is_ended_once_this_one_hears_of_it_though_all_threads_are_taken(
    house: House, busy: list[ExecutionId], heard: Callable[[Engine], object]
) -> None:
    queued = house.execute("gate")
    with house.store.begin() as tx:
        execution_rows.request_cancel(tx, queued)
    heard(house.engine)
    assert house.ended(queued).state == "cancelled"
    assert {house.execution(found).state for found in busy} == {ExecutionState.RUNNING}


def test_what_waits_ends_with_its_child_though_all_threads_are_taken(house: House, tmp_path: Path) -> None:
    parent = house.execute("parent")
    child = ExecutionId(house.step_in(parent, "child", "waiting").wait_ref or 0)
    house.step_in(child, "gate", "waiting")
    held = [house.execute("slow", dir=str(tmp_path)) for _ in range(4)]
    for execution_id in held:
        house.step_in(execution_id, "sleeps", "running")
    executions.cancel(house.platform, ME, parent)
    assert house.ended(parent).state == "cancelled"
    assert house.ended(child).state == "cancelled"
    assert {house.execution(found).state for found in held} == {ExecutionState.RUNNING}
    for execution_id in held:
        assert cancel(house, execution_id) == "cancelled"


def test_a_resource_whose_run_is_cancelled_in_the_queue_is_failed_and_its_user_blocked_at_once(
    house: House, busy: list[ExecutionId]
) -> None:
    house.submit(SPEC)
    thing = house.resource("thing/shop.db")
    assert thing.execution_id is not None
    executions.cancel(house.platform, ME, thing.execution_id)
    assert house.ended(thing.execution_id).state == "cancelled"
    failed = house.resource("thing/shop.db")
    assert (failed.state, failed.reason) == ("failed", "cancelled")
    assert house.resource("workload/shop").blocked_by == failed.id
    assert {house.execution(found).state for found in busy} == {ExecutionState.RUNNING}
    told = [event for event in house.events() if event.execution_id == thing.execution_id]
    assert [event.kind for event in told if event.kind.startswith("execution.")] == [
        "execution.cancel-requested", "execution.cancelled"
    ]  # fmt: skip
