"""Group commit: many runs write, one transaction at a time carries what queued while the last one committed."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from engine.errors import Unavailable
from engine.store.apply import Applied, apply_records
from engine.store.database import Store, Transaction
from engine.store.records import Record
from engine.store.settling import Choose

Held = TypeVar("Held")
_BATCH = 500
_PAUSE_SECONDS = 0.5
_GATHER_SECONDS = 0.0002
"""Per writer of the last batch: that is about what a step takes them. A lone writer never waits."""
logger = structlog.get_logger()


class Refill(Protocol[Held]):
    """Claims new work in the transaction that ends old work, so that going on costs no commit of its own."""

    def take(self, tx: Transaction, ended: int) -> Sequence[Held]:
        """Claim up to `ended` executions inside `tx`."""
        ...

    def give(self, taken: Sequence[Held]) -> None:
        """The transaction is committed: the claims are ours."""
        ...


class _Entry:
    """A record on its way. A bare lock is the cheapest way for one thread to wait for one answer."""

    __slots__ = ("_answered", "error", "held", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.held = False
        self.error: Exception | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self) -> bool:
        self._answered.acquire()
        if self.error is not None:
            raise self.error
        return self.held

    def answer(self, *, held: bool = False, error: Exception | None = None) -> None:
        self.held, self.error = held, error
        self._answered.release()


class Journal(Generic[Held]):
    """One per process. `write` returns when the record is durable.

    A batch that fails is tried record by record, so that a bad one fails alone. While the database is away records wait
    and are replayed: sequence numbers make a replay harmless when the outcome of a commit is unknown.
    """

    def __init__(
        self,
        store: Store,
        *,
        choose: Choose,
        refill: Refill[Held],
        woken: Callable[[int], None],
        lost: Callable[[], None],
    ) -> None:
        self._store = store
        self._choose = choose
        self._refill = refill
        self._woken = woken
        self._lost = lost
        self._queue: deque[_Entry] = deque()
        self._condition = threading.Condition()
        self._last_size = 0
        self._wanted = 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, timeout: float = 10.0) -> None:
        """Write what is queued, then end. Records that cannot be written in time raise Unavailable in their writers."""
        self._stop.set()
        with self._condition:
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether records are being written."""
        return self._thread.is_alive() and not self._stop.is_set()

    def write(self, record: Record) -> bool:
        """Wait until `record` is durable; False when its fence no longer holds and nothing was written."""
        entry = _Entry(record)
        with self._condition:
            if self._stop.is_set():
                raise Unavailable("The engine is stopping.", code="stopping")
            self._queue.append(entry)
            if len(self._queue) >= self._wanted:  # waking the journal for every record would cost more than writing it
                self._condition.notify()
        return entry.wait()

    def _loop(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._stop.is_set():
                    self._condition.wait()
                if not self._queue:
                    return
                self._gather()
                batch = self._next_batch()
            self._last_size = len(batch)
            self._write(batch)

    def _gather(self) -> None:
        """Wait a moment for the writers of the last batch, who have just been let go and will write again soon."""
        if self._last_size < 2:
            return
        self._wanted = self._last_size
        deadline = time.monotonic() + _GATHER_SECONDS * self._last_size
        while len(self._queue) < self._wanted and (left := deadline - time.monotonic()) > 0:
            self._condition.wait(left)
        self._wanted = 1

    def _next_batch(self) -> list[_Entry]:
        """At most one record per execution, in the order they came."""
        batch: list[_Entry] = []
        later: list[_Entry] = []
        seen: set[int] = set()
        while self._queue and len(batch) < _BATCH:
            entry = self._queue.popleft()
            if entry.record.execution.id in seen:
                later.append(entry)
            else:
                seen.add(entry.record.execution.id)
                batch.append(entry)
        self._queue.extendleft(reversed(later))
        return batch

    def _write(self, batch: Sequence[_Entry]) -> None:
        while True:
            try:
                applied = self._commit(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, each record must learn its own fate
                if _passing(error) and self._wait_for_database(batch, error):
                    continue
                if len(batch) > 1:
                    for entry in batch:
                        self._write([entry])
                else:
                    batch[0].answer(error=error)
            else:
                self._tell(batch, applied)
            return

    def _wait_for_database(self, batch: Sequence[_Entry], error: Exception) -> bool:
        """The database is away, or two transactions met. False when the process stops and waiting is of no use."""
        logger.warning("journal.retry", records=len(batch), error=repr(error).splitlines()[0])
        self._lost()
        return not self._stop.wait(_PAUSE_SECONDS)

    def _commit(self, batch: Sequence[_Entry]) -> Applied:
        fresh: Sequence[Held] = ()
        with self._store.begin() as tx:
            applied = apply_records(tx, [entry.record for entry in batch], choose=self._choose)
            if applied.ended:
                fresh = self._refill.take(tx, applied.ended)
        if fresh:
            self._refill.give(fresh)
        return applied

    def _tell(self, batch: Sequence[_Entry], applied: Applied) -> None:
        for entry, held in zip(batch, applied.held, strict=True):
            entry.answer(held=held)
        if applied.woken:
            try:
                self._woken(applied.woken)
            except Exception as error:  # noqa: BLE001 - a lost hint costs a sweep, a lost journal everything
                logger.warning("journal.nudge_lost", error=repr(error))


def _passing(error: Exception) -> bool:
    """True for failures of the connection or of concurrency, false for those of the data."""
    if isinstance(error, OperationalError):
        return not _sqlstate(error).startswith("54")  # a program limit: it would be exceeded again and again
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _sqlstate(error) in {"40001", "40P01"})


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
