"""History that is old and needed by nobody goes: all of it at once, or a little at a time."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog

from engine.domain.event import Event
from engine.domain.values import SYSTEM
from engine.store import events, retention, tallies
from engine.store.again import transacted
from engine.store.database import Store, Transaction
from engine.store.retention import Piece, Removed

logger = structlog.get_logger()
_REST_SECONDS = 3600.0
_LONGEST_PAUSE = 0.2
_PIECES_A_TURN = 4


class Round:
    """One way through the whole history, piece by piece. Several, in other processes too, may be under way at once."""

    def __init__(self, store: Store, *, older_than: float, batch: int, trial: bool = False) -> None:
        """`older_than` is in seconds; `batch` bounds what one transaction looks at; a `trial` removes nothing."""
        self._store = store
        self._older_than = timedelta(seconds=older_than)
        self._batch = batch
        self._trial = trial
        self._place = 0
        self._after = 0
        self.removed = Counter[str](dict.fromkeys(retention.TABLES, 0))
        """Rows per table so far."""

    def step(self) -> bool:
        """Look at one piece more; False when there was none."""
        if self._place >= len(retention.IN_ORDER):
            return False
        prune = retention.IN_ORDER[self._place]
        found = transacted(self._store, lambda tx: self._look(tx, prune))
        self.removed.update(found.rows)
        if found.after is None:
            self._place, self._after = self._place + 1, 0
            if self._place == len(retention.IN_ORDER):
                self._tell()
        else:
            self._after = found.after
        return True

    def _look(self, tx: Transaction, prune: Callable[[Transaction, Piece], Removed]) -> Removed:
        """A trial locks what it would remove for a moment, and writes nothing."""
        return prune(tx, Piece(tx.now - self._older_than, self._batch, self._after, self._trial))

    def _tell(self) -> None:
        gone = {name: count for name, count in self.removed.items() if count}
        if not gone or self._trial:
            return
        data = {"older_than_seconds": self._older_than.total_seconds(), **gone}
        fact = Event("history.pruned", str(SYSTEM), data={**data})
        transacted(self._store, lambda tx: events.record(tx, [fact]))
        logger.info("history.pruned", **gone)


def prune(store: Store, *, older_than: float, batch: int, trial: bool = False) -> dict[str, int]:
    """Remove, or count in a `trial`, all that is older than so many seconds; rows per table.

    Between two transactions it pauses for as long as one took: whoever waits comes first.
    """
    _count(store, batch)
    while _count(store, batch):
        pass
    going = Round(store, older_than=older_than, batch=batch, trial=trial)
    while True:
        begun = time.monotonic()
        if not going.step():
            return dict(going.removed)
        time.sleep(min(time.monotonic() - begun, _LONGEST_PAUSE))


def _count(store: Store, batch: int) -> int:
    """Events are counted before they may go."""
    return transacted(store, lambda tx: tallies.fold(tx, limit=batch))


class Retention:
    """`turn` does a few pieces; after a round it rests for an hour."""

    def __init__(self, store: Store, *, days: int, batch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._days = days
        self._batch = batch
        self._clock = clock
        self._round: Round | None = None
        self._rests_until = 0.0

    def turn(self) -> None:
        if self._clock() < self._rests_until:
            return
        going = self._round or Round(self._store, older_than=self._days * 86_400.0, batch=self._batch)
        self._round = going
        for _ in range(_PIECES_A_TURN):
            if not going.step():
                self._round, self._rests_until = None, self._clock() + _REST_SECONDS
                return
