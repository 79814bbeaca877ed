"""The only code that knows Dramatiq: worker threads of this process, and the nudges that wake this and other processes.

Dramatiq's own time limits, retries and age limits are off in both: they would inject exceptions into running steps.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name
from redis import Redis, RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.runtime.subscription import Subscription

logger = structlog.get_logger()
_QUEUE = "executions"
_NUDGES = "innominatus-nudges"
_BELL = "innominatus-nudged"
_HOPS = 8
"""How often a nudge is passed on by processes that have no thread free."""
_MOST_QUEUED = 100
"""More nudges than that wake nobody any sooner: the workers are busy, or there are none."""
_IDLE_POLL_MS = 50
_REST_MS = 5000
"""A thread that rests looks up after that. It is called before: dozens that look up often hinder those at work."""
_NO_WAIT_MS = 1
_PAUSE_SECONDS = 0.01
_PASS_ON_SECONDS = 0.1
"""What a process passes on comes back to it, too, as long as nobody else takes it: it does not do so all the time."""
_LISTENING_SECONDS = 1.0
"""How long a process waits for the bell before it looks by itself, as long as it hears the bell."""


class LocalQueue:
    """A Dramatiq worker in this process. Its one actor runs claimed executions until none is ready.

    A nudge is a hint that there may be work; losing one delays work until the next sweep.
    """

    def __init__(self, work: Callable[[], None], *, threads: int) -> None:
        self._broker = _LocalBroker(middleware=[])
        self._broker.declare_queue(_QUEUE)
        self._threads = threads
        self._lock = threading.Lock()
        self._nudges = 0
        self._stopping = False
        self._work = work
        self._actor: dramatiq.Actor[[], None] = dramatiq.Actor(
            self._run, broker=self._broker, actor_name="run_ready", queue_name=_QUEUE, priority=0, options={}
        )
        self._worker = dramatiq.Worker(self._broker, worker_threads=threads, worker_timeout=_REST_MS)

    def start(self) -> None:
        self._worker.start()
        while not self._stopping and not all(thread.running for thread in self._worker.workers):
            time.sleep(0.001)  # one that begins after `stop` would not hear of it

    def nudge(self) -> None:
        """Wake a thread; never more messages are under way than there are threads."""
        with self._lock:
            if self._nudges >= self._threads:
                return
            self._nudges += 1
        self._actor.send()

    def _run(self) -> None:
        if self._stopping:
            return
        with self._lock:
            self._nudges -= 1
        self._work()

    def stop(self, *, timeout: float) -> None:
        """Wait up to `timeout` seconds for the threads to come back from their work."""
        self._stopping = True
        for thread in self._worker.workers:
            thread.stop()
        for _ in self._worker.workers:
            self._actor.send()  # each calls one of those that rest, which then ends
        self._worker.stop(timeout=round(timeout * 1000))
        self._broker.close()


class _LocalBroker(StubBroker):
    """Its consumers look often, so that they stop at once; the threads that they call need not look at all."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        del timeout
        return super().consume(queue_name, prefetch, _IDLE_POLL_MS)


class Nudges:
    """Wakes one of the engine processes that share a database, through Redis.

    Sending returns at once: a thread of its own talks to Redis, and while Redis is away nothing is lost but time, since
    every engine sweeps.
    """

    def __init__(self, url: str) -> None:
        # It would tell every second that Redis is away; we do, once.
        logging.getLogger("dramatiq").setLevel(logging.ERROR)
        for queue in (_NUDGES, dq_name(_NUDGES)):
            logging.getLogger(f"dramatiq.worker.ConsumerThread({queue})").setLevel(logging.CRITICAL + 1)
        self._client = connect(url)
        self._bell = _Bell(self._client)
        self._broker = _PromptBroker(self._client, self._bell)
        self._wake: Callable[[], bool] | None = None
        self._actor: dramatiq.Actor[[int], None] = dramatiq.Actor(
            self._arrived, broker=self._broker, actor_name="nudge", queue_name=_NUDGES, priority=0, options={}
        )
        self._worker: dramatiq.Worker | None = None
        self._wanted = threading.Event()
        self._asked = False
        self._passing_on = False
        self._stop = threading.Event()
        self._hops = _HOPS
        self.away = ""
        """Why the last nudge could not be sent; empty while they can."""
        self._sender = threading.Thread(target=self._loop, name="nudges", daemon=True)

    def start(self, wake: Callable[[], bool] | None = None) -> None:
        """`wake` is called where a nudge arrives and says whether a thread was free; without it nothing is received."""
        if wake is not None:
            self._wake = wake
            self._worker = dramatiq.Worker(self._broker, worker_threads=1, worker_timeout=_IDLE_POLL_MS)
            self._worker.queue_prefetch = 1  # what one process has fetched, no other can
            self._bell.listen()
            self._worker.start()
        self._sender.start()

    def send(self) -> None:
        """At once, but for a moment between two."""
        self._hops = _HOPS
        self._asked = True
        self._wanted.set()

    def pass_on(self) -> None:
        """Not as often as this is called; the last call is never lost."""
        if not self._passing_on:
            self._passing_on = True
            self._wanted.set()

    def stop(self) -> None:
        self._stop.set()
        self._wanted.set()
        self._bell.release()
        if self._worker is not None:
            self._worker.stop(timeout=1000)
        self._bell.stop()
        self._sender.join(3)
        self._broker.close()

    def _arrived(self, hops: int) -> None:
        if self._wake is not None and not self._wake() and hops > 0:
            self._hops = hops - 1
            self._asked = True
            self._wanted.set()

    def _loop(self) -> None:
        passed_on = -math.inf
        while True:
            left = passed_on + _PASS_ON_SECONDS - time.monotonic()
            self._wanted.wait(max(0.0, left) if self._passing_on else None)
            if self._stop.is_set():
                return
            self._wanted.clear()
            due = self._passing_on and time.monotonic() >= passed_on + _PASS_ON_SECONDS
            if not self._asked and not due:
                continue
            if due:
                self._hops = _HOPS
                passed_on = time.monotonic()
                self._passing_on = False
            self._asked = False
            try:
                if self._client.llen(f"dramatiq:{_NUDGES}") < _MOST_QUEUED:
                    self._actor.send(self._hops)
                    self._bell.publish()
            except (RedisError, dramatiq.DramatiqError, OSError) as error:
                self._tell(str(error) or type(error).__name__)
            else:
                self._tell("")
            self._stop.wait(_PAUSE_SECONDS)

    def _tell(self, away: str) -> None:
        if away and not self.away:
            meaning = "other processes learn of new work at their next sweep"
            logger.warning("redis.away", error=away, meaning=meaning, check="INNOMINATUS_REDIS_URL")
        elif self.away and not away:
            logger.info("redis.back")
        self.away = away


class _Bell:
    """Rings in every process that takes nudges when one was sent: Dramatiq's consumer would look at intervals."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._rung = threading.Event()
        self._released = False
        self._ear = Subscription(
            client,
            _BELL,
            joined=self.ring,
            heard=lambda _: self.ring(),
            meanwhile=f"nudges are looked for every {_IDLE_POLL_MS} ms",
        )

    def publish(self) -> None:
        """A user that may not publish costs others a look at intervals; whoever listens in vain says so in the log."""
        with suppress(ResponseError):
            self._client.publish(_BELL, "")  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped

    def listen(self) -> None:
        self._ear.start()

    def ring(self) -> None:
        self._rung.set()

    def wait(self) -> None:
        """Until it rings, or it is time to look anyway."""
        if not self._released:
            self._rung.wait(_LISTENING_SECONDS if self._ear.connected else _IDLE_POLL_MS / 1000)
            self._rung.clear()

    def release(self) -> None:
        """Nobody waits any more."""
        self._released = True
        self.ring()

    def stop(self) -> None:
        self._ear.stop()


class _PromptBroker(RedisBroker):
    def __init__(self, client: Redis, bell: _Bell) -> None:
        super().__init__(client=client, middleware=[])  # pyright: ignore[reportUnknownMemberType] - as above
        self._bell = bell

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        del timeout
        return _PromptConsumer(super().consume(queue_name, prefetch, _NO_WAIT_MS), self._bell)


class _PromptConsumer(dramatiq.Consumer):
    """Looks, then waits for the bell: also after an acknowledgement, before which it may not have looked."""

    def __init__(self, plain: dramatiq.Consumer, bell: _Bell) -> None:
        self._plain = plain
        self._bell = bell

    def __next__(self) -> dramatiq.MessageProxy | None:
        message = next(self._plain)
        if message is None:
            self._bell.wait()
        return message

    def ack(self, message: dramatiq.MessageProxy) -> None:
        self._plain.ack(message)
        self._bell.ring()

    def nack(self, message: dramatiq.MessageProxy) -> None:
        self._plain.nack(message)
        self._bell.ring()

    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        self._plain.requeue(messages)

    def close(self) -> None:
        self._plain.close()


def connect(url: str) -> Redis:
    """A client that says at once when Redis is away instead of trying for a while."""
    never = Retry(NoBackoff(), 0)
    return Redis.from_url(url, retry=never, socket_connect_timeout=1, socket_timeout=2)  # pyright: ignore[reportUnknownMemberType] - redis leaves its options untyped
