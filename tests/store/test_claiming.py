"""Who gets which execution: leases, fences, caps, turns."""

import threading
from datetime import timedelta

import sqlalchemy as sa

from engine.domain.execution import ExecutionState
from engine.domain.runs import Claim, Outputs
from engine.domain.values import ExecutionId
from engine.store import claims, executions, facts
from engine.store.database import Store, Transaction
from engine.store.executions import NewExecution
from engine.store.tables import executions as table


def queue(store: Store, key: str, count: int = 1) -> list[ExecutionId]:
    new = NewExecution(
        provider="p", digest="d", workflow="w", fair_key=key, actor="user:me", inputs=Outputs({"x": key})
    )
    with store.begin() as tx:
        return executions.queue(tx, [new] * count)


def claim(store: Store, *, limit: int = 10, cap: int = 100, worker: str = "me", take_over: bool = True) -> list[Claim]:
    with store.begin() as tx:
        return claims.claim(tx, worker=worker, limit=limit, cap=cap, lease=30, take_over=take_over)


def expire(store: Store, execution_id: ExecutionId) -> None:
    with store.begin() as tx:
        tx.connection.execute(
            sa.update(table).where(table.c.id == execution_id).values(ready_at=tx.now - timedelta(seconds=1))
        )


def test_a_thousand_runs_of_one_application_do_not_starve_another(store: Store) -> None:
    queue(store, "greedy", 1000)
    first = claim(store, limit=8)
    modest = queue(store, "modest", 3)
    after = [c.execution.id for c in claim(store, limit=8)]
    assert len(first) == 8
    assert set(modest) <= set(after)


def test_no_more_than_the_cap_of_one_application_run_at_once(store: Store) -> None:
    queue(store, "one", 10)
    queue(store, "two", 1)
    assert len(claim(store, cap=3)) == 4
    assert claim(store, cap=3) == []


def test_who_only_ends_things_gets_what_is_cancelled_and_not_at_work_and_nothing_else(store: Store) -> None:
    held, lost, *queued = queue(store, "one", 6)
    asleep = queued.pop()
    claim(store, limit=2)
    expire(store, lost)
    with store.begin() as tx:
        sleeps = sa.update(table).where(table.c.id == asleep)
        tx.connection.execute(sleeps.values(state=ExecutionState.WAITING.value, ready_at=None))
        for execution_id in (held, lost, asleep, queued[0], queued[1]):
            executions.request_cancel(tx, execution_id)
    with store.begin() as tx:
        only = claims.claim_to_end(tx, worker="you", limit=9, lease=30, busy=[queued[1]], take_over=False)
    assert {c.execution.id for c in only} == {asleep, queued[0]}
    with store.begin() as tx:
        rest = claims.claim_to_end(tx, worker="you", limit=9, lease=30)
    assert {(c.execution.id, c.taken_over) for c in rest} == {(lost, True), (queued[1], False)}
    with store.begin() as tx:
        assert claims.claim_to_end(tx, worker="you", limit=9, lease=30) == []


def test_many_claimers_at_once_never_get_the_same_execution(store: Store) -> None:
    queue(store, "app", 120)
    taken: list[ExecutionId] = []

    def work(name: str) -> None:
        while got := claim(store, limit=7, cap=1000, worker=name):
            taken.extend(c.execution.id for c in got)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(taken) == len(set(taken)) == 120


def test_a_lease_that_ran_out_is_taken_over_under_a_higher_fence(store: Store) -> None:
    queue(store, "app")
    (mine,) = claim(store)
    assert claim(store, worker="you") == []
    expire(store, mine.execution.id)
    assert claim(store, worker="you", take_over=False) == []
    (theirs,) = claim(store, worker="you")
    assert (theirs.execution.fence, theirs.taken_over) == (mine.execution.fence + 1, True)
    with store.begin() as tx:
        held = [(mine.execution.id, mine.execution.fence)]
        assert claims.extend_leases(tx, worker="me", lease=30, held=held) == {}


def test_leases_are_extended_in_one_go_and_tell_of_cancellation(store: Store) -> None:
    queue(store, "app", 2)
    one, two = claim(store)
    with store.begin() as tx:
        executions.request_cancel(tx, two.execution.id)
    expire(store, one.execution.id)
    with store.begin() as tx:
        held = [(c.execution.id, c.execution.fence) for c in (one, two)]
        found = claims.extend_leases(tx, worker="me", lease=30, held=held)
    assert found == {one.execution.id: False, two.execution.id: True}
    assert claim(store, worker="you") == []


def test_what_a_stopping_worker_gives_back_is_ready_at_once(store: Store) -> None:
    queue(store, "app")
    (mine,) = claim(store)
    with store.begin() as tx:
        claims.release(tx, worker="me", claims=[(mine.execution.id, mine.execution.fence - 1)])
    assert claim(store, worker="you") == [], "a release under an old fence counts for nothing"
    with store.begin() as tx:
        claims.release(tx, worker="me", claims=[(mine.execution.id, mine.execution.fence)])
    assert len(claim(store, worker="you")) == 1


def test_an_execution_that_cannot_be_opened_does_not_hold_up_the_others(store: Store) -> None:
    bad, good = queue(store, "app", 2)
    with store.begin() as tx:
        tx.connection.execute(sa.update(table).where(table.c.id == bad).values(inputs_sealed=b"\x01" + b"x" * 40))
    assert [c.execution.id for c in claim(store)] == [good]
    with store.begin() as tx:
        assert tx.connection.execute(sa.select(table.c.state).where(table.c.id == bad)).scalar_one() == "pending"


def finish(store: Store, claims_: list[Claim], state: ExecutionState = ExecutionState.SUCCEEDED) -> None:
    with store.begin() as tx:
        end(tx, claims_, state)


def end(tx: Transaction, claims_: list[Claim], state: ExecutionState = ExecutionState.SUCCEEDED) -> None:
    ids = [c.execution.id for c in claims_]
    tx.connection.execute(sa.update(table).where(table.c.id.in_(ids)).values(state=state.value, ready_at=None))


def claim_most(store: Store, most: int, *, worker: str = "me", limit: int = 10) -> list[Claim]:
    with store.begin() as tx:
        return claims.claim(tx, worker=worker, limit=limit, cap=1000, lease=30, most=most)


def test_no_more_than_the_limit_run_over_all_workers_however_many_claim_at_once(store: Store) -> None:
    queue(store, "app", 60)
    queue(store, "other", 60)
    taken: list[ExecutionId] = []
    at_once: list[int] = []
    lock = threading.Lock()
    barrier = threading.Barrier(6)

    def work(name: str) -> None:
        barrier.wait(20)
        while True:
            got = claim_most(store, 7, worker=name, limit=5)
            with store.read() as tx:
                at_once.append(executions.unfinished(tx)["running"])
                left = executions.unfinished(tx)["pending"]
            with lock:
                taken.extend(c.execution.id for c in got)
            finish(store, got)
            if not got and not left:
                return

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(set(taken)) == 120
    assert max(at_once) <= 7


def test_what_sleeps_does_not_count_and_wakes_into_free_room_only(store: Store) -> None:
    queue(store, "app", 4)
    (asleep, *_) = claim_most(store, 2)
    finish(store, [asleep], ExecutionState.WAITING)
    assert len(claim_most(store, 2)) == 1, "its place is free"
    with store.begin() as tx:
        tx.connection.execute(sa.update(table).where(table.c.id == asleep.execution.id).values(ready_at=tx.now))
    assert claim_most(store, 2) == []
    assert asleep.execution.id in {c.execution.id for c in claim_most(store, 4)}


def test_what_ends_in_the_transaction_that_claims_does_not_count_any_more(store: Store) -> None:
    queue(store, "app", 5)
    mine = claim_most(store, 2)
    assert len(mine) == 2
    with store.begin() as tx:
        end(tx, mine[:1])
        assert len(claims.claim(tx, worker="me", limit=5, cap=100, lease=30, most=2)) == 1


def test_a_lost_run_is_taken_over_though_the_limit_is_reached_for_it_counts_already(store: Store) -> None:
    queue(store, "app", 5)
    lost, _ = claim_most(store, 2)
    expire(store, lost.execution.id)
    (again,) = claim_most(store, 2, worker="you")
    assert (again.execution.id, again.taken_over) == (lost.execution.id, True)


def test_while_claiming_is_paused_nobody_gets_anything_and_afterwards_everything(store: Store) -> None:
    queue(store, "app", 2)
    slept, lost = claim(store)
    queue(store, "app")
    finish(store, [slept], ExecutionState.WAITING)
    for one in (slept, lost):
        expire(store, one.execution.id)
    with store.begin() as tx:
        facts.put(tx, facts.PAUSED, actor="user:me", reason="upgrade")
    assert claim(store, worker="you") == []
    with store.begin() as tx:
        facts.drop(tx, facts.PAUSED)
    assert len(claim(store, worker="you")) == 3


def cancelled(store: Store, *ids: ExecutionId) -> None:
    with store.begin() as tx:
        for execution_id in ids:
            executions.request_cancel(tx, execution_id)


def test_what_is_cancelled_is_claimed_to_be_ended_in_spite_of_pause_and_caps(store: Store) -> None:
    queue(store, "app", 2)
    slept, lost = claim(store)
    finish(store, [slept], ExecutionState.WAITING)
    first, queued, other = queue(store, "app", 3)
    (busy,) = claim(store, limit=1)
    assert busy.execution.id == first
    cancelled(store, slept.execution.id, lost.execution.id, queued, first)
    expire(store, lost.execution.id)
    with store.begin() as tx:
        facts.put(tx, facts.PAUSED, actor="user:me", reason="upgrade")
        left_alone = claims.claim(tx, worker="you", limit=9, cap=1, lease=30, most=1, take_over=False)
        taken_over = claims.claim(tx, worker="you", limit=9, cap=1, lease=30, most=1)
    assert {c.execution.id for c in left_alone} == {slept.execution.id, queued}
    assert [(c.execution.id, c.taken_over) for c in taken_over] == [(lost.execution.id, True)]
    assert all(c.execution.cancel_requested for c in [*left_alone, *taken_over])
    with store.begin() as tx:
        facts.drop(tx, facts.PAUSED)
    assert claim(store, cap=1) == [], "what is not cancelled waits for its turn"
    assert [c.execution.id for c in claim(store)] == [other]


def test_what_is_cancelled_comes_before_what_waits_for_its_turn(store: Store) -> None:
    *_, last = queue(store, "app", 50)
    cancelled(store, last)
    assert [c.execution.id for c in claim(store, limit=1)] == [last]
