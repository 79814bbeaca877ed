"""A thread that does one thing at intervals until it is told to stop."""

import threading
from collections.abc import Callable

import structlog

from engine.store.away import DatabaseAway, away_because, in_short

logger = structlog.get_logger()


class Repeating:
    """Calls `work` every `seconds`; what it raises is logged and the next turn comes as ever."""

    def __init__(self, name: str, work: Callable[[], object], *, seconds: float) -> None:
        self.name = name
        self._work = work
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self.fails_because = ""
        """What keeps the database from taking what the last turn did; empty when that went well."""

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, *, timeout: float = 5.0) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._work()
                self.fails_because = ""
            except Exception as error:  # noqa: BLE001 - a background turn must not end the thread
                self.fails_because = away_because(error) if isinstance(error, DatabaseAway) else ""
                logger.warning("background.failed", turn=self.name, error=in_short(error))
