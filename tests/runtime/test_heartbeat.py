"""Leases as the process that holds them sees them."""

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa

from engine.domain.values import ExecutionId
from engine.runtime.cancellation import StopReason
from engine.runtime.claimer import Claimer, Held
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.warden_client import WardenClient
from engine.store import claims, executions
from engine.store.database import Store, Transaction
from engine.store.tables import executions as table

NEW = executions.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")


def test_a_fresh_claim_has_its_whole_lease_though_the_last_beat_is_long_ago(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    start = iter([time.monotonic() - 86_400])  # the process was stopped for a day, and claims before it beats again
    clock = lambda: next(start, time.monotonic())  # noqa: E731 - only the first look was long ago
    heartbeat = Heartbeat(store, claimer, WardenClient(), worker="me", lease=30, clock=clock)
    with store.begin() as tx:
        (execution_id,) = executions.queue(tx, [NEW])
    held = claimer.next()
    assert held is not None
    assert 20 < heartbeat.deadline(execution_id) - time.monotonic() <= 29


class Told(WardenClient):
    """A warden that only remembers until when what runs may go on."""

    until = 0.0
    dropped: tuple[ExecutionId, ...] = ()

    def drop(self, execution: ExecutionId) -> None:
        self.dropped += (execution,)

    def extend(self, executions: Iterable[ExecutionId], deadline: float) -> None:
        if list(executions):
            self.until = deadline


def test_a_beat_that_took_its_time_gives_the_warden_no_more_than_the_lease_that_is_left(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    ticks: Iterator[int] = itertools.count(100, step=4)  # whoever looks finds four seconds gone
    warden = Told()
    heartbeat = Heartbeat(store, claimer, warden, worker="me", lease=30, clock=lambda: next(ticks))
    with store.begin() as tx:
        executions.queue(tx, [NEW])
    assert claimer.next() is not None
    begun = next(ticks) + 4
    heartbeat.beat()
    assert warden.until == begun + 29


def orphan(store: Store) -> None:
    """An execution whose worker has let its lease run out."""
    with store.begin() as tx:
        executions.queue(tx, [NEW])
    with store.begin() as tx:
        claims.claim(tx, worker="gone", limit=1, cap=10, lease=30)
    with store.begin() as tx:
        tx.connection.execute(sa.update(table).values(ready_at=tx.now - timedelta(seconds=1)))


def test_after_an_outage_a_worker_leaves_the_work_of_others_alone_for_one_lease(store: Store) -> None:
    now = [1000.0]
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30, clock=lambda: now[0])
    orphan(store)
    now[0] += 10
    claimer.database_was_lost()
    now[0] += 29
    assert claimer.next() is None
    now[0] += 1
    claimer.hope()
    assert claimer.next() is not None


def test_a_transaction_that_fails_now_and_then_keeps_nobody_from_taking_over(store: Store) -> None:
    now = [1000.0]
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30, clock=lambda: now[0])
    orphan(store)
    now[0] += 10
    claimer.database_answered()
    now[0] += 1
    claimer.database_was_lost()
    assert claimer.next() is not None


class Meanwhile(Store):
    """Something happens between the look at what is held and the beat's transaction."""

    def __init__(self, plain: Store, happens: Callable[[], object]) -> None:
        super().__init__(plain.engine, plain.sealer)
        self._plain = plain
        self._happens = happens

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        self._happens()
        with self._plain.begin() as tx:
            yield tx


def test_a_beat_that_came_while_a_claim_was_under_way_gives_it_no_time(store: Store) -> None:
    beats: list[Callable[[], object]] = []
    ticks: Iterator[float] = itertools.count(time.monotonic(), step=4)
    clock = lambda: next(ticks)  # noqa: E731 - whoever looks finds four seconds gone
    claiming = Claimer(
        Meanwhile(store, lambda: [beat() for beat in beats]), worker="me", threads=2, cap=10, lease=30, clock=clock
    )
    heartbeat = Heartbeat(store, claiming, Told(), worker="me", lease=30, clock=clock)
    beats.append(heartbeat.beat)
    with store.begin() as tx:
        (execution_id,) = executions.queue(tx, [NEW])
    assert claiming.next() is not None
    assert heartbeat.deadline(execution_id) == claiming.claimed_at(execution_id) + 29


def ends(store: Store, execution_id: ExecutionId) -> None:
    with store.begin() as tx:
        over = sa.update(table).where(table.c.id == execution_id).values(state="failed", worker=None, ready_at=None)
        tx.connection.execute(over)


def begins_anew(store: Store, execution_id: ExecutionId) -> None:
    with store.begin() as tx:
        execution = executions.get(tx, execution_id)
        assert execution is not None
        executions.requeue(tx, execution, actor="user:me")


def test_a_beat_that_began_before_a_retry_leaves_the_new_attempt_alone(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    warden = Told()
    with store.begin() as tx:
        (execution_id,) = executions.queue(tx, [NEW])
    old = claimer.next()
    assert old is not None
    fresh: list[Held | None] = []

    def retried() -> None:
        ends(store, execution_id)
        claimer.done(old)
        begins_anew(store, execution_id)
        claimer.hope()
        fresh.append(claimer.next())

    Heartbeat(Meanwhile(store, retried), claimer, warden, worker="me", lease=30).beat()
    assert fresh[0] is not None
    assert (fresh[0].token.cancelled, warden.dropped) == (False, ())


def test_a_beat_stops_what_another_worker_has_taken_over(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    warden = Told()
    with store.begin() as tx:
        (execution_id,) = executions.queue(tx, [NEW])
    held = claimer.next()
    assert held is not None
    Heartbeat(Meanwhile(store, lambda: ends(store, execution_id)), claimer, warden, worker="me", lease=30).beat()
    assert (held.token.reason, warden.dropped) == (StopReason.LEASE_LOST, (execution_id,))
