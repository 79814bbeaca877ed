"""Who waits for a resource or an application learns of every end it can come to, and sleeps until then."""

import itertools
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.execution import WaitKind
from engine.domain.resource import AWAITS_TURN, ResourceState
from engine.domain.runs import Execution
from engine.runtime import waits
from engine.services import resources
from engine.store import claims, executions, repair, steps
from engine.store.apply import apply_records
from engine.store.database import Store
from engine.store.executions import NewExecution
from engine.store.records import ExecutionWaits, Record, StepStarted, StepWaits
from engine.store.tables import executions as execution_table
from engine.store.tables import resources as resource_table
from engine.store.tables import step_runs
from tests.support.platforms import ME
from tests.support.platforms_by_hand import ByHand, by_hand, reads, spec


@pytest.fixture
def hand(store: Store, tmp_path: Path) -> ByHand:
    return by_hand(store, tmp_path)


def waiter(hand: ByHand, kind: WaitKind, ref: int) -> Execution:
    """A golden path that sleeps until `ref` has come to an end."""
    new = NewExecution(provider="p", digest="d", workflow="w", fair_key="run:w", actor="user:me")
    with hand.house.store.begin() as tx:
        (made,) = executions.queue(tx, [new])
    with hand.house.store.begin() as tx:
        (claim,) = claims.claim(tx, worker="w", limit=10, cap=10, lease=3600.0)
    assert claim.execution.id == made
    wait = StepWaits(0, 1, kind, ref, memo={"operation": "update"})
    changes = (StepStarted(0, "wait", "set", 1, 1), wait, ExecutionWaits())
    write(hand, Record(claim.execution, 1, changes))
    return claim.execution


def write(hand: ByHand, record: Record) -> None:
    with hand.house.store.begin() as tx:
        assert apply_records(tx, [record], choose=hand.house.platform.providers.choose).held == (True,)


def ready(hand: ByHand, execution: Execution) -> bool:
    with hand.house.store.read() as tx:
        query = sa.select(execution_table.c.ready_at).where(execution_table.c.id == execution.id)
        moment = tx.connection.execute(query).scalar_one()
        return moment is not None and moment <= tx.now


def forget_to_wake(hand: ByHand, execution: Execution) -> None:
    with hand.house.store.begin() as tx:
        tx.connection.execute(
            sa.update(execution_table).where(execution_table.c.id == execution.id).values(ready_at=None)
        )


def stands_with_an_update_behind_another(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": "2", "bb": "2 " + reads("aa")}))


def test_who_waits_for_an_update_is_woken_when_it_is_blocked(hand: ByHand) -> None:
    stands_with_an_update_behind_another(hand)
    waiting = waiter(hand, WaitKind.RESOURCE, hand.resource("thing/app.bb").id)
    assert not ready(hand, waiting)
    with hand.house.store.begin() as tx:
        apply_records(tx, [hand.record("thing/app.aa", "failed")], choose=hand.house.platform.providers.choose)
    blocked = hand.resource("thing/app.bb")
    assert (blocked.state, blocked.blocked_by) == ("active", hand.resource("thing/app.aa").id)
    assert ready(hand, waiting)


def test_a_blocked_update_nobody_told_of_is_found_by_the_sweep_and_by_who_begins_to_wait(hand: ByHand) -> None:
    stands_with_an_update_behind_another(hand)
    hand.end("thing/app.aa", "failed")
    waiting = waiter(hand, WaitKind.RESOURCE, hand.resource("thing/app.bb").id)
    assert ready(hand, waiting), "it is over before the wait begins"
    forget_to_wake(hand, waiting)
    hand.sweep()
    assert ready(hand, waiting)


def test_who_waits_for_something_that_awaits_its_turn_stays_asleep(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.end("thing/app.aa", "failed")
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1"}))
    assert hand.resource("thing/app.aa").awaits_turn
    waiting = waiter(hand, WaitKind.RESOURCE, hand.resource("thing/app.aa").id)
    hand.sweep()
    assert not ready(hand, waiting), "woken, it would find nothing to do and fall asleep, again and again"
    hand.end("thing/app.bb")
    with hand.house.store.begin() as tx:
        apply_records(tx, [hand.record("thing/app.aa")], choose=hand.house.platform.providers.choose)
    assert ready(hand, waiting)


def test_an_application_that_only_shares_what_ended_is_told_too(hand: ByHand) -> None:
    for name in ("one", "two"):
        hand.submit(spec(name, {"cache": "1"}, ids={"cache": "shared"}))
    assert hand.resource("thing/shared").application == "one"
    workload = hand.resource("workload/two")
    waiting = waiter(hand, WaitKind.APPLICATION, workload.application_id)
    with hand.house.store.begin() as tx:
        apply_records(tx, [hand.record("thing/shared", "failed")], choose=hand.house.platform.providers.choose)
    assert ready(hand, waiting)


def test_an_application_that_stands_already_is_not_waited_for(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all()
    assert ready(hand, waiter(hand, WaitKind.APPLICATION, hand.resource("thing/app.aa").application_id))


def test_an_application_that_has_failed_already_is_not_waited_for(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.end("thing/app.aa", "failed")
    assert ready(hand, waiter(hand, WaitKind.APPLICATION, hand.resource("thing/app.aa").application_id))


def test_a_wait_for_an_application_that_is_not_over_yet_sleeps_on(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": "1"}))
    waiting = waiter(hand, WaitKind.APPLICATION, hand.resource("thing/app.aa").application_id)
    hand.sweep()
    assert not ready(hand, waiting)
    write(hand, hand.record("thing/app.aa"))
    assert ready(hand, waiting), "one of its resources has come to rest"
    with hand.house.store.begin() as tx:
        (again,) = claims.claim(tx, worker="w", limit=10, cap=10, lease=3600.0)
    assert again.execution.id == waiting.id
    write(hand, Record(again.execution, 2, (ExecutionWaits(),)))
    assert not ready(hand, waiting), "it would find that nothing is over, again and again"
    with hand.house.store.read() as tx:
        assert repair.next_due(tx) is None


def test_an_application_that_came_to_rest_untold_is_found_by_the_sweep(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.end("thing/app.aa")
    waiting = waiter(hand, WaitKind.APPLICATION, hand.resource("thing/app.aa").application_id)
    write(hand, hand.record("workload/app"))
    forget_to_wake(hand, waiting)
    hand.sweep()
    assert ready(hand, waiting)


def conditions(blocker: int) -> list[dict[str, object]]:
    """Every way a resource can stand that a wait looks at."""
    return [
        {"state": state.value, "pending": pending, "blocked_by": blocked_by, "reason": reason}
        for state in ResourceState
        for pending in (None, "update")
        for blocked_by in (None, blocker)
        for reason in ("", AWAITS_TURN)
        if reason == "" or state is ResourceState.FAILED
    ]


@pytest.mark.parametrize("kind", [WaitKind.RESOURCE, WaitKind.APPLICATION])
def test_who_is_woken_finds_the_wait_over_however_the_resources_stand(hand: ByHand, kind: WaitKind) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    one, other = hand.resource("thing/app.aa"), hand.resource("workload/app")
    ref = one.id if kind is WaitKind.RESOURCE else one.application_id
    waiting = waiter(hand, kind, ref)
    told: set[bool] = set()
    with hand.house.store.begin() as tx:
        (run,) = steps.of_execution(tx, waiting.id)
        ways = conditions(one.id)
        for first, second in itertools.combinations_with_replacement(ways, 2):
            for rid, way in ((one.id, first), (other.id, second)):
                tx.connection.execute(sa.update(resource_table).where(resource_table.c.id == rid).values(**way))
            over = waits.ended(tx, run) is not None
            assert steps.due_waits(tx, limit=1, only=waiting.id) == [waiting.id] * over, (first, second)
            told.add(over)
    assert told == {True, False}


def orphan(hand: ByHand, key: str) -> None:
    """The run of a resource ends without telling."""
    run = hand.runs.pop(key)
    with hand.house.store.begin() as tx:
        gone = sa.update(execution_table).where(execution_table.c.id == run.id)
        tx.connection.execute(gone.values(state="failed", ready_at=None))


def test_an_orphan_blocks_those_that_wait_for_it_until_it_is_retried(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa"), "cc": reads("bb")}))
    waiting = waiter(hand, WaitKind.RESOURCE, hand.resource("thing/app.cc").id)
    orphan(hand, "thing/app.aa")
    hand.sweep()
    failed = hand.resource("thing/app.aa")
    assert (failed.state, failed.reason) == ("failed", "orphaned")
    assert (hand.states()["thing/app.bb"], hand.states()["workload/app"]) == ("blocked", "blocked")
    assert hand.resource("thing/app.cc").blocked_by == failed.id
    assert ready(hand, waiting)
    with hand.house.store.begin() as tx:
        tx.connection.execute(sa.delete(step_runs))
        tx.connection.execute(sa.delete(execution_table).where(execution_table.c.id == waiting.id))
    assert hand.retry("thing/app.aa") == ["create thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_an_orphaned_deletion_holds_what_it_uses_until_it_is_retried(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all()
    hand.delete("app")
    orphan(hand, "workload/app")
    hand.sweep()
    assert hand.resource("thing/app.aa").blocked_by == hand.resource("workload/app").id
    hand.retry("workload/app")
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_what_is_gone_keeps_those_that_need_it_blocked_until_it_is_wanted_again(hand: ByHand) -> None:
    source = spec("app", {"aa": "1", "bb": reads("aa")})
    hand.submit(source)
    hand.end("thing/app.aa", "failed")
    gone = hand.resource("thing/app.aa").id
    resources.resolve(hand.house.platform, ME, gone, as_="gone")
    assert hand.take() == []
    blocked = hand.resource("thing/app.bb")
    assert (blocked.state, blocked.blocked_by) == ("blocked", gone)
    assert hand.submit(source) == ["create thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_the_timeline_tells_that_a_retry_unblocked(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.end("thing/app.aa", "failed")
    hand.retry("thing/app.aa")
    hand.finish_all()
    blocked = hand.resource("thing/app.bb").id
    mine = [fact.kind for fact in hand.house.events() if fact.resource_id == blocked]
    told = [kind.removeprefix("resource.") for kind in mine if kind.startswith("resource.")]
    assert told == ["requested", "blocked", "requested", "provisioning", "active"]
