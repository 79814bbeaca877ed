"""A start waits for its servers: in a set of containers the database is often the last to be ready."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from engine.errors import Unavailable

T = TypeVar("T")

logger = structlog.get_logger()
_TELL_SECONDS = 5.0
_PAUSE_SECONDS = 0.25


class Stopped(Exception):
    """Somebody asked for the end while it was waited."""


def for_database(work: Callable[[], T], *, seconds: float, stop: threading.Event | None = None) -> T:
    """The answer of `work`, which may be done several times.

    Raises its Unavailable when the database does not answer in `seconds` or refuses us, Stopped once `stop` is set.
    """
    stop = stop or threading.Event()
    deadline = time.monotonic() + seconds
    told = 0.0
    while True:
        try:
            return work()
        except Unavailable as error:
            now = time.monotonic()
            if now > deadline or not error.details.get("passing"):
                raise
            if now - told > _TELL_SECONDS:
                logger.warning("database.awaited", error=error.message, seconds_left=round(deadline - now))
                told = now
        if stop.wait(_PAUSE_SECONDS):
            raise Stopped
