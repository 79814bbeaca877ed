"""Stores the logs of running steps in batches, so that they can be read before the step ends."""

import threading
from collections.abc import Callable

from engine.domain.values import ExecutionId
from engine.runtime.live_log import LiveLog
from engine.store import leavings
from engine.store.database import Store


class LiveLogs:
    """Steps register their log while they run; `flush` stores what is new in one transaction.

    What could not be stored, because the database was away, is stored by the next flush or with the end of the step.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[tuple[ExecutionId, int, int], LiveLog] = {}

    def register(self, execution_id: ExecutionId, fence: int, log: LiveLog) -> Callable[[], None]:
        """Follow a log; the answer ends that. A flush that is under way and the end of the step may both store a chunk:
        it is the same.
        """
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
        taken = [(key[0], log, chunk, text) for key, log in followed for chunk, text in log.take(final=False)]
        if not taken:
            return
        with self._store.begin() as tx:
            leavings.add_log(tx, [(run, log.position, log.attempt, chunk, text) for run, log, chunk, text in taken])
        for _run, log, chunk, _text in taken:
            log.stored(chunk)
