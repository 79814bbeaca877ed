"""`innominatus worker`: one engine of several on a PostgreSQL, or a few of them in processes of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

import structlog

from cli import compose, garbage, logs, pulse, waiting
from cli.exits import EXIT_CODES, FAILED
from engine.config import Settings
from engine.errors import Invalid

logger = structlog.get_logger()
_RESTART_SECONDS = 1.0
_END_SECONDS = 10.0
"""What a child gets beyond the grace of its steps before it is killed."""
_REFUSALS = frozenset(EXIT_CODES.values()) - {FAILED}
_TRY_AGAIN_SECONDS = 10.0
_PARENT = "_INNOMINATUS_PARENT"


def work(settings: Settings, *, processes: int, arguments: list[str]) -> None:
    """Run executions until SIGTERM or SIGINT. `arguments` start one more worker like this one, in one process."""
    if settings.embedded:
        raise Invalid(
            "A worker needs a PostgreSQL that the other processes share.",
            code="database_required",
            hint="Set INNOMINATUS_DATABASE_URL, or use `innominatus serve`: it has the engine inside.",
        )
    logs.configure(form=settings.log_format, level=settings.log_level)
    stop = _stop_signal()
    if processes > 1:
        sys.exit(_Children(arguments, processes, stop, grace=settings.grace_seconds).run())
    _stop_without_parent(stop)
    try:
        running = compose.start(settings.model_copy(update={"engine": True}), stop=stop)
    except waiting.Stopped:
        logger.info("worker.stopped", meaning="it was still waiting for the database")
        return
    engine = running.engine
    assert engine is not None
    garbage.settle()
    logger.info("worker.started", threads=settings.threads, redis=bool(settings.redis_url))
    try:
        with pulse.kept(settings.data_dir) as beat:
            beat()
            while not stop.wait(pulse.SECONDS):
                if not engine.ailing:
                    beat()
        logger.info("worker.stopping", grace=settings.grace_seconds)
    finally:
        running.close(grace=settings.grace_seconds)
        logger.info("worker.stopped")


def _stop_signal() -> threading.Event:
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop


def _stop_without_parent(stop: threading.Event) -> None:
    """One of several stops as if told to when the process that looks after them is gone, however it ended."""
    parent = os.environ.get(_PARENT)
    if parent is None:
        return

    def watch() -> None:
        while not stop.wait(_RESTART_SECONDS):
            if os.getppid() != int(parent):
                logger.warning("worker.orphaned", meaning="the process that started it is gone: it stops")
                stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Children:
    """Workers in processes of their own: Python runs one thread at a time per process. One that ends is replaced.

    One that refuses to work (a wrong key, no database) has said why, and is tried again after a while; when none is
    left that works, all end.
    """

    def __init__(self, arguments: list[str], count: int, stop: threading.Event, *, grace: float) -> None:
        self._command = [sys.executable, "-m", "cli.server", "worker", *arguments]
        self._stop = stop
        self._grace = grace
        self._children: list[subprocess.Popen[bytes]] = [self._start() for _ in range(count)]
        self._refused: dict[int, float] = {}

    def run(self) -> int:
        """Until told to stop; the answer is the exit code."""
        while not self._stop.wait(_RESTART_SECONDS):
            for place, child in enumerate(self._children):
                if child.poll() is not None:
                    self._replace(place, child)
            if len(self._refused) == len(self._children):
                return self._children[0].returncode
        self._end()
        return 0

    def _replace(self, place: int, child: subprocess.Popen[bytes]) -> None:
        refuses = child.returncode in _REFUSALS
        since = self._refused.setdefault(place, time.monotonic()) if refuses else 0.0
        if refuses and time.monotonic() - since < _TRY_AGAIN_SECONDS:
            return
        self._refused.pop(place, None)
        logger.error("worker.ended", pid=child.pid, code=child.returncode, meaning="another one is started")
        self._children[place] = self._start()

    def _end(self) -> None:
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + self._grace + _END_SECONDS
        for child in self._children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("worker.killed", pid=child.pid, meaning="its steps go on elsewhere")
                child.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, _PARENT: str(os.getpid())}
        return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, env=environment)  # noqa: S603 - ourselves
