"""Wakes the engine when the earliest sleeping execution is due, so that a backoff of a second takes a second."""

import threading
import time
from collections.abc import Callable


class Alarm:
    """One thread that sleeps until the earliest time it was given, then calls `ring`."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._condition = threading.Condition()
        self._due: float | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="alarm", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set(self, seconds: float) -> None:
        """Ring in `seconds`, or earlier if asked so before."""
        due = time.monotonic() + max(0.0, seconds)
        with self._condition:
            if self._due is None or due < self._due:
                self._due = due
                self._condition.notify()

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(5)

    def _loop(self) -> None:
        while True:
            with self._condition:
                while not self._stopped and (self._due is None or self._due > time.monotonic()):
                    self._condition.wait(None if self._due is None else self._due - time.monotonic())
                if self._stopped:
                    return
                self._due = None
            self._ring()
