"""A start waits for its servers: in a set of containers the database is often the last to be ready."""

import time
from collections.abc import Callable

import structlog

from engine.errors import Unavailable

logger = structlog.get_logger()
_TELL_SECONDS = 5.0
_PAUSE_SECONDS = 0.25


def for_database(look: Callable[[], object], *, seconds: float) -> None:
    """Return when `look` does. Raises its Unavailable when the database does not answer in `seconds`, or refuses us."""
    deadline = time.monotonic() + seconds
    told = 0.0
    while True:
        try:
            look()
        except Unavailable as error:
            now = time.monotonic()
            if now > deadline or not error.details.get("passing"):
                raise
            if now - told > _TELL_SECONDS:
                logger.warning("database.awaited", error=error.message, seconds_left=round(deadline - now))
                told = now
            time.sleep(_PAUSE_SECONDS)
        else:
            return
