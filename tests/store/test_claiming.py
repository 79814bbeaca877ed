"""Who gets which execution: leases, fences, caps, turns."""

import threading
from datetime import timedelta

import sqlalchemy as sa

from engine.domain.runs import Claim, Outputs
from engine.domain.values import ExecutionId
from engine.store import claims, executions
from engine.store.database import Store
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
