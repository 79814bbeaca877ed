"""One per process: takes ready executions for the threads that are free, and knows which ones this process holds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from engine.domain.runs import Claim
from engine.domain.values import ExecutionId
from engine.runtime.cancellation import StopReason, Token
from engine.store import claims
from engine.store.away import DatabaseFailure, in_short
from engine.store.database import Store, Transaction

logger = structlog.get_logger()
_PACE_SECONDS = 0.1
_ENDS_AT_ONCE = 10
_OUTAGE_LEASES = 0.25
"""A database that is away for less than that costs nobody a lease: whoever holds one has just renewed it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claim with the token that stops its run."""

    claim: Claim
    token: Token
    since: float
    """`time.monotonic()` before the claim: its lease began then or later."""


class Claimer:
    """Thread safe. `next` hands out one claim at a time; `done` gives it up."""

    def __init__(
        self,
        store: Store,
        *,
        worker: str,
        threads: int,
        cap: int,
        lease: float,
        most: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cap` is per application, `most` over all workers (0: none)."""
        self._store = store
        self._worker = worker
        self._threads = threads
        self._cap = cap
        self._most = most
        self._lease = lease
        self._claiming = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: deque[Held] = deque()
        self._held: dict[ExecutionId, Held] = {}
        self._running = 0
        self._booked = 0
        self._passed_over: set[ExecutionId] = set()
        """What was at work here while others were claimed: nobody here knows whether it is ready again."""
        self._beyond: set[ExecutionId] = set()
        """What is being ended by no thread that its end would set free for other work."""
        self._ends: deque[tuple[float, int]] = deque()
        self._hope = True
        self._closed = False
        self._clock = clock
        self._answered = clock()
        self._hands_off_until = 0.0

    def hope(self) -> None:
        """There may be something to claim."""
        self._hope = True

    @property
    def hopeful(self) -> bool:
        """Whether `next` may have a claim to hand out."""
        return bool(self._waiting) or (self._hope and self._running < self._threads)

    @property
    def has_room(self) -> bool:
        return self._running < self._threads and not self._closed

    @property
    def overflows(self) -> bool:
        """Whether there may be more to claim than this process has threads for."""
        return self._hope and self._running >= self._threads

    def next(self) -> Held | None:
        """A claimed execution, or None when none is ready or as many are at work as may be."""
        with self._claiming:
            with self._lock:
                if self._waiting and not self._closed:
                    return self._take()
                free = self._threads - self._running - self._booked
                if self._closed or not self._hope or free <= 0:
                    return None
                self._hope = False
                self._booked += free
                busy = self._busy()
            fresh: list[Held] = []
            try:
                fresh = self._safely(lambda tx: self._claimed(tx, free, busy))
            finally:
                with self._lock:
                    self._booked -= free
                    self._hope |= len(fresh) == free
                    self._keep(fresh)
        with self._lock:  # closed meanwhile: the next `close` gives them back
            return self._take() if self._waiting and not self._closed else None

    def next_to_end(self) -> list[Held]:
        """Some of what is cancelled and nobody has at work, though all threads be taken; nothing when there is none."""
        with self._claiming:
            with self._lock:
                busy = self._busy()
                if self._closed:
                    return []
                found = [held for held in self._waiting if held.token.cancelled]  # claimed, and no thread for it yet
                for held in found:
                    self._waiting.remove(held)
            found = found or self._safely(lambda tx: self._claimed_to_end(tx, busy))
            with self._lock:
                self._running += len(found)
                self._held.update({held.claim.execution.id: held for held in found})
                self._beyond.update(held.claim.execution.id for held in found)
            return found

    def _busy(self) -> list[ExecutionId]:
        """What a claim passes over, since its run here has not come to rest. Under the lock."""
        self._passed_over.update(self._held)
        return list(self._held)

    def _take(self) -> Held:
        self._running += 1
        return self._waiting.popleft()

    def _safely(self, claim: Callable[[Transaction], list[Held]]) -> list[Held]:
        """What `claim` claims in a transaction of its own; nothing while the database is away."""
        try:
            with self._store.begin() as tx:
                return claim(tx)
        except DatabaseFailure as error:
            logger.warning("claim.failed", error=in_short(error))
            self._hope = True
            self.database_was_lost()
            return []

    def _claimed(self, tx: Transaction, limit: int, busy: list[ExecutionId]) -> list[Held]:
        since = time.monotonic()
        fresh = claims.claim(
            tx,
            worker=self._worker,
            limit=limit,
            cap=self._cap,
            lease=self._lease,
            busy=busy,
            take_over=self._clock() >= self._hands_off_until,
            most=self._most,
        )
        self.database_answered()
        return [Held(claim, Token(), since) for claim in fresh]

    @contextmanager
    def booking(self) -> Generator[Callable[[Transaction], None]]:
        """Around a transaction that makes executions ready; what it gives claims in it for the threads that are free.

        At the end of the block, when it is committed, the threads find the claims at their next turn.
        """
        taken: list[Held] = []
        seats = 0
        ready: set[ExecutionId] = set()

        def book(tx: Transaction) -> None:
            nonlocal seats, ready
            taken.clear()
            ready = set(tx.readied)
            with self._lock:
                self._booked -= seats
                free = self._threads - self._running - self._booked - len(self._waiting)
                seats = 0 if self._closed else max(0, min(len(ready), free))
                self._booked += seats
                busy = self._busy()
            if seats:
                taken.extend(self._claimed(tx, seats, busy))

        committed = False
        try:
            yield book
            committed = True
        finally:
            with self._lock:
                self._booked -= seats
                if committed:
                    self._keep(taken)
                    self._hope |= not ready or not ready <= {held.claim.execution.id for held in taken}

    def _keep(self, taken: Sequence[Held]) -> None:
        self._waiting.extend(taken)
        self._held.update({held.claim.execution.id: held for held in taken})

    def _claimed_to_end(self, tx: Transaction, busy: list[ExecutionId]) -> list[Held]:
        since = time.monotonic()
        fresh = claims.claim_to_end(
            tx,
            worker=self._worker,
            limit=_ENDS_AT_ONCE,
            lease=self._lease,
            busy=busy,
            take_over=self._clock() >= self._hands_off_until,
        )
        self.database_answered()
        return [Held(claim, Token(), since) for claim in fresh]

    def take(self, tx: Transaction, ended: int) -> list[Held]:
        """Claim for the threads whose executions are ending in `tx`; `give` makes them known once it is committed.

        Where many end in a short time, as many are claimed at once; where they take long, no more than have ended.
        Where nothing more was ready when last asked, and `tx` makes nothing ready, those that end do not wait for the
        question.
        """
        now = time.monotonic()
        with self._lock:
            self._ends.append((now, ended))
            while now - self._ends[0][0] > _PACE_SECONDS:
                self._ends.popleft()
            if self._closed or len(self._waiting) >= ended or not (self._hope or tx.readied):
                return []
            most = min(sum(count for _, count in self._ends), self._threads)
            if self._beyond:
                most = min(most, self._threads - (self._running - ended))
            limit = most - len(self._waiting)
            busy = self._busy()
        return self._claimed(tx, limit, busy) if limit > 0 else []

    def give(self, taken: Sequence[Held], *, more: bool, running: int) -> None:
        """The claims of `take` are ours: threads find them at their next turn.

        With `more`, others are queued: what has ended may have been all that kept those of its application waiting.
        So it may be with what was queued while the end was being committed, and looked for too early, where `running`
        comes anywhere near a limit.
        """
        limit = min(self._cap, self._most or self._cap)
        with self._lock:
            self._keep(taken)
            self._hope |= more or 2 * running > limit

    def done(self, held: Held) -> None:
        """The run of a claim has come to rest."""
        with self._lock:
            self._running -= 1
            self._beyond.discard(held.claim.execution.id)
            if held.claim.execution.id in self._passed_over:  # a person may have asked for a retry meanwhile
                self._passed_over.discard(held.claim.execution.id)
                self._hope = True
            if self._held.get(held.claim.execution.id) is held:  # not when it is claimed anew already
                del self._held[held.claim.execution.id]

    def held(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())

    def holds(self, held: Held) -> bool:
        """Whether this very claim is still held: it has not come to rest, nor was it claimed anew."""
        with self._lock:
            return self._held.get(held.claim.execution.id) is held

    def claimed_at(self, execution_id: ExecutionId) -> float:
        """When this process claimed the execution (`time.monotonic()`); 0 when it does not hold it."""
        with self._lock:
            held = self._held.get(execution_id)
        return held.since if held is not None else 0.0

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        """Stop the run of an execution if this process holds it; with `attempt`, not one that began since."""
        with self._lock:
            held = self._held.get(execution_id)
        if held is not None and attempt in {None, held.claim.execution.attempt}:
            held.token.set(StopReason.CANCELLED)

    def database_answered(self) -> None:
        self._answered = self._clock()

    def database_was_lost(self) -> None:
        """After an outage take over nobody's work for one lease: its holder may have been cut off just as we were.

        A transaction that fails now and then is no outage, or nobody would ever take over what such a failure left.
        """
        now = self._clock()
        if now - self._answered > self._lease * _OUTAGE_LEASES:
            self._hands_off_until = now + self._lease

    def close(self) -> list[Held]:
        """Hand out nothing more; returns the claims not begun. What is being claimed comes with the next call."""
        with self._lock:
            self._closed = True
            unbegun = list(self._waiting)
            self._waiting.clear()
            for held in unbegun:
                self._held.pop(held.claim.execution.id, None)
        return unbegun

    @property
    def idle(self) -> bool:
        with self._lock:
            return self._running == 0 and (self._closed or not self._waiting)
