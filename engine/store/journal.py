"""Group commit: many runs write, one transaction at a time carries what queued while the last one committed."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from engine.errors import Unavailable
from engine.store.apply import Applied, apply_records, is_single
from engine.store.away import DatabaseAway, DatabaseBusy, away_because, in_short
from engine.store.database import Store, Transaction
from engine.store.drawing import draw_now
from engine.store.records import Record
from engine.store.settling import Choose

Held = TypeVar("Held")
Answer = bool | Exception
"""True when the record is durable, False when its fence no longer holds, else why it cannot be written."""
_BATCH = 500
_PAUSE_SECONDS = 0.5
logger = structlog.get_logger()
_Entry = tuple[Record, Callable[[Answer], None]]


class Refill(Protocol[Held]):
    """Claims new work in the transaction that ends old work, so that going on costs no commit of its own."""

    def take(self, tx: Transaction, ended: int) -> Sequence[Held]:
        """Claim up to `ended` executions inside `tx`."""
        ...

    def give(self, taken: Sequence[Held], *, more: bool, running: int) -> None:
        """The transaction is committed: the claims, if any, are ours.

        `more`: there may be more to claim. As it began, `running` executions were at work over all workers.
        """
        ...


class Journal(Generic[Held]):
    """One per process. It has no thread: whoever has put a record calls `flush`, and one of them writes for all.

    A batch that fails is tried record by record, so that a bad one fails alone. While the database is away records wait
    and are replayed: sequence numbers make a replay harmless when the outcome of a commit is unknown.
    """

    def __init__(
        self,
        store: Store,
        *,
        choose: Choose,
        refill: Refill[Held],
        woken: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._store = store
        self._choose = choose
        self._refill = refill
        self._woken = woken
        self._lost = lost
        self._queue: deque[_Entry] = deque()
        self._lock = threading.Lock()
        self._writing = False
        self._stop = threading.Event()
        self.waits_because = ""
        """What keeps the database from taking records; empty while it takes them."""

    def put(self, record: Record, answer: Callable[[Answer], None]) -> None:
        """Queue a record for the next `flush`, which calls `answer` on its own thread."""
        self._queue.append((record, answer))

    @property
    def waiting(self) -> int:
        """How many records are queued."""
        return len(self._queue)

    @property
    def writing(self) -> bool:
        """Whether a thread is at it."""
        return self._writing

    def flush(self) -> bool:
        """Write what is queued in one transaction. False when there is nothing, or another thread is writing.

        That other thread finds what was queued meanwhile: whoever was told True looks again before it leaves.
        """
        with self._lock:
            if self._writing or not self._queue:
                return False
            self._writing = True
            batch = self._next_batch()
        try:
            self._write(batch)
        finally:
            self._writing = False
        return True

    def stop(self) -> None:
        """From now on nothing waits for a database that is away: its records are answered with Unavailable."""
        self._stop.set()

    def _next_batch(self) -> list[_Entry]:
        """At most one record per execution, in the order they came."""
        batch: list[_Entry] = []
        later: list[_Entry] = []
        seen: set[int] = set()
        while self._queue and len(batch) < _BATCH:
            entry = self._queue.popleft()
            if entry[0].execution.id in seen:
                later.append(entry)
            else:
                seen.add(entry[0].execution.id)
                batch.append(entry)
        self._queue.extendleft(reversed(later))
        return batch

    def _write(self, batch: Sequence[_Entry]) -> None:
        while True:
            try:
                applied = self._commit(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, each record must learn its own fate
                passing = isinstance(error, DatabaseAway)
                if passing and self._wait_for_database(batch, error):
                    continue
                if passing or len(batch) == 1:
                    for _, answer in batch:
                        answer(_unavailable(error) if passing else error)
                else:
                    for entry in batch:
                        self._write([entry])
            else:
                self.waits_because = ""
                self._tell(batch, applied)
            return

    def _wait_for_database(self, batch: Sequence[_Entry], error: DatabaseAway) -> bool:
        """The database is away, or two transactions met. False when the process stops and waiting is of no use."""
        logger.warning("journal.retry", records=len(batch), error=in_short(error))
        self.waits_because = "" if isinstance(error, DatabaseBusy) else away_because(error)
        self._lost()
        return not self._stop.wait(_PAUSE_SECONDS)

    def _commit(self, batch: Sequence[_Entry]) -> Applied:
        fresh: Sequence[Held] = ()
        more = False
        records = [record for record, _ in batch]
        with self._store.single() if is_single(records) else self._store.begin() as tx:
            applied = apply_records(tx, records, choose=self._choose)
            if applied.ended:
                draw_now(tx)  # whoever claims may hold up other claims until the commit
                fresh = self._refill.take(tx, applied.ended)
                more = applied.queued or len(tx.readied) > len(fresh)
        if applied.ended:
            self._refill.give(fresh, more=more, running=applied.running)
        return applied

    def _tell(self, batch: Sequence[_Entry], applied: Applied) -> None:
        for (_, answer), held in zip(batch, applied.held, strict=True):
            answer(held)
        if applied.woken:
            try:
                self._woken()
            except Exception as error:  # noqa: BLE001 - a lost hint costs a sweep, a lost journal everything
                logger.warning("journal.nudge_lost", error=repr(error))


def _unavailable(error: Exception) -> Unavailable:
    told = Unavailable("The database is away and the engine is stopping.", code="stopping")
    told.__cause__ = error
    return told
