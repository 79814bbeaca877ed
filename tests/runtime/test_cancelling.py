"""A person ends an execution: pending, asleep, at work."""

from pathlib import Path

from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.services import executions
from tests.support.platforms import ME, House, until
from tests.support.providers import script, values, workflow

DIR = [{"name": "dir", "type": "string", "required": True}]
SLOW = 'echo $$ >> "$PARAM_DIR/pids"; sleep 60 & echo $! >> "$PARAM_DIR/pids"; wait'
STUBBORN = """trap '' TERM; echo done=1 >> $INNOMINATUS_OUTPUT; touch "$PARAM_DIR/there"
while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.02; done; echo effect >> "$PARAM_DIR/effects" """

GOLDEN = {
    "slow": workflow([script("sleeps", SLOW), values("after", a=1)], parameters=DIR),
    "gate": workflow([{**values("gate", b=2), "when": "manual"}, values("after", c=3)]),
    "stubborn": workflow([script("stubborn", STUBBORN), values("after", a=1)], parameters=DIR),
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


def test_a_step_that_succeeds_though_it_is_told_to_stop_is_kept_and_nothing_follows_it(
    house: House, tmp_path: Path
) -> None:
    execution_id = house.execute("stubborn", dir=str(tmp_path))
    until((tmp_path / "there").exists)
    executions.cancel(house.platform, ME, execution_id)
    (tmp_path / "go").touch()
    assert house.ended(execution_id, seconds=2).state == "cancelled"
    assert house.step_states(execution_id) == [("stubborn", 1, "succeeded")]
    assert house.ended(house.retry(execution_id)).state == "succeeded"
    assert (tmp_path / "effects").read_text().split() == ["effect"]


def test_an_execution_that_is_queued_never_begins(house: House, tmp_path: Path) -> None:
    busy = [house.execute("slow", dir=str(tmp_path)) for _ in range(4)]  # all threads
    for execution_id in busy:
        house.step_in(execution_id, "sleeps", "running")
    queued = house.execute("gate")
    executions.cancel(house.platform, ME, queued)
    for execution_id in busy:
        assert cancel(house, execution_id) == "cancelled"
    assert house.ended(queued).state == "cancelled"
    assert house.steps(queued) == []
    until(lambda: not list((house.platform.settings.data_dir / "workspaces").iterdir()))  # nothing is left behind
