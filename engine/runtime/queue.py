"""The only code that knows Dramatiq: worker threads of this process, and the nudges that wake them."""

import threading
from collections.abc import Callable

import dramatiq
from dramatiq.brokers.stub import StubBroker

_QUEUE = "executions"


class LocalQueue:
    """A Dramatiq worker in this process. Its one actor runs claimed executions until none is ready.

    A nudge is a hint that there may be work; losing one delays work until the next sweep. Dramatiq's own time limits,
    retries and age limits are off: they would inject exceptions into running steps.
    """

    def __init__(self, work: Callable[[], None], *, threads: int) -> None:
        self._broker = StubBroker(middleware=[])
        self._broker.declare_queue(_QUEUE)
        self._threads = threads
        self._lock = threading.Lock()
        self._nudges = 0
        self._work = work
        self._actor: dramatiq.Actor[[], None] = dramatiq.Actor(
            self._run, broker=self._broker, actor_name="run_ready", queue_name=_QUEUE, priority=0, options={}
        )
        self._worker = dramatiq.Worker(self._broker, worker_threads=threads, worker_timeout=50)

    def start(self) -> None:
        self._worker.start()

    def nudge(self, count: int = 1) -> None:
        """Wake up to `count` threads; never more messages are under way than there are threads."""
        with self._lock:
            wanted = min(count, self._threads - self._nudges)
            self._nudges += max(0, wanted)
        for _ in range(wanted):
            self._actor.send()

    def _run(self) -> None:
        with self._lock:
            self._nudges -= 1
        self._work()

    def stop(self, *, timeout: float) -> None:
        """Wait up to `timeout` seconds for the threads to come back from their work."""
        self._worker.stop(timeout=round(timeout * 1000))
        self._broker.close()
