"""Why a run must stop, told to the code that is running it."""

import threading
from enum import StrEnum


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    """A person asked for it: it is recorded."""
    LEASE_LOST = "lease_lost"
    """Another worker may hold the execution: nothing may be written."""
    BROKEN = "broken"
    """The engine met an error of its own: what is at work ends and the execution fails."""
    STOPPING = "stopping"
    """The process ends: the execution goes on elsewhere or at the next start."""


class Token:
    """A CancelToken with a reason; the first reason stays."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.reason: StopReason | None = None
        self.draining = False
        """True when the process is about to stop: what is at work may end, nothing new begins."""

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)

    def set(self, reason: StopReason) -> None:
        with self._lock:
            if self.reason is None:
                self.reason = reason
        self._event.set()
