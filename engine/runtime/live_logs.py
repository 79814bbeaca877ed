"""Stores the logs of running steps in batches, so that they can be read before the step ends."""

import threading
from collections.abc import Callable

from engine.domain.values import ExecutionId
from engine.runtime.context import LiveLog
from engine.store import leavings
from engine.store.database import DatabaseAway, DatabaseFailure, Store


class LiveLogs:
    """Steps register their log while they run; `flush` stores what is new in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[tuple[ExecutionId, int, int], LiveLog] = {}
        self._unstored: list[tuple[ExecutionId, int, int, int, str]] = []

    def register(self, execution_id: ExecutionId, fence: int, log: LiveLog) -> Callable[[], None]:
        """Follow a log; the answer ends that, after a flush of it that is under way."""
        key = (execution_id, fence, log.position)
        with self._lock:
            self._open[key] = log

        def end() -> None:
            with self._lock:
                self._open.pop(key, None)

        return end

    def flush(self) -> None:
        """Store what is new. What a database that is away does not take is stored next time."""
        with self._lock:
            followed = list(self._open.items())
        self._unstored += [
            (execution_id, log.position, log.attempt, chunk, text)
            for (execution_id, _fence, _position), log in followed
            for chunk, text in log.take(final=False)
        ]
        if not self._unstored:
            return
        try:
            with self._store.begin() as tx:
                leavings.add_log(tx, self._unstored)
        except DatabaseAway:
            raise
        except DatabaseFailure:  # of an execution that is deleted: it would be refused for ever
            self._unstored = []
            raise
        self._unstored = []
