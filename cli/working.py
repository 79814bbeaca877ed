"""`innominatus worker`: one engine of several on a PostgreSQL."""

import signal
import threading
from types import FrameType

from cli import compose, logs
from engine.config import Settings
from engine.errors import Invalid


def work(settings: Settings) -> None:
    """Run executions until SIGTERM or SIGINT."""
    if settings.embedded:
        raise Invalid(
            "A worker needs a PostgreSQL that the other processes share.",
            code="database_required",
            hint="Set INNOMINATUS_DATABASE_URL, or use `innominatus serve`: it has the engine inside.",
        )
    logs.configure(form=settings.log_format, level=settings.log_level)
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    running = compose.start(settings)
    try:
        stop.wait()
    finally:
        running.close(grace=settings.grace_seconds)
