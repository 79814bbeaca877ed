"""What is cancelled is ended beside the threads, also when the process holds it already, and frees none of them."""

from engine.domain.values import ExecutionId
from engine.runtime.claimer import Claimer
from engine.store import executions
from engine.store.database import Store

NEW = executions.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")


def queue(store: Store, count: int) -> list[ExecutionId]:
    with store.begin() as tx:
        return executions.queue(tx, [NEW] * count)


def test_what_is_claimed_and_has_no_thread_yet_is_handed_out_to_be_ended_once(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    first, second = queue(store, 2)
    begun = claimer.next()
    assert begun is not None
    claimer.cancel(second)
    claimer.cancel(first)
    (held,) = claimer.next_to_end()
    assert (begun.claim.execution.id, held.claim.execution.id) == (first, second), "who is at work is told by its token"
    assert claimer.next_to_end() == []
    assert claimer.next() is None
    assert not claimer.idle
    claimer.done(held)
    claimer.done(begun)
    assert claimer.idle


def test_the_end_of_what_held_no_thread_claims_nothing_that_would_need_one(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=1, cap=10, lease=30)
    queue(store, 1)
    begun = claimer.next()
    assert begun is not None
    cancelled, waits = queue(store, 2)
    with store.begin() as tx:
        executions.request_cancel(tx, cancelled)
    claimer.hope()
    (held,) = claimer.next_to_end()
    with store.begin() as tx:
        assert claimer.take(tx, 1) == []
    claimer.done(held)
    with store.begin() as tx:
        assert [taken.claim.execution.id for taken in claimer.take(tx, 1)] == [waits]


def test_a_process_that_stops_ends_nothing_more(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=1, cap=10, lease=30)
    (cancelled,) = queue(store, 1)
    with store.begin() as tx:
        executions.request_cancel(tx, cancelled)
    claimer.close()
    assert claimer.next_to_end() == []
