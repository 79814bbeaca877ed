"""Hints between processes, by publishing through Redis. Nobody who commits ever waits for Redis, or fails with it."""

import secrets
import threading
import time
from collections.abc import Collection, Mapping
from typing import cast

import structlog
from redis import RedisError
from redis.client import PubSub

from engine.runtime.queue import connect
from engine.store.hints import ALL, Hints, Topic

logger = structlog.get_logger()
_COALESCED_SECONDS = 0.02
"""At most one message in that time, whatever is committed meanwhile."""
_MOST_TOPICS = 500
"""More than that in one message is told as `anything`."""
_AWAY_SECONDS = 0.5
_HEARD_SECONDS = 1.0
_PING_SECONDS = 5.0
_SILENT_SECONDS = 10.0
"""A connection without a sign of life for so long is given up."""


class FarHints:
    """What this process tells is published on a channel of its platform; what others tell there is told here."""

    def __init__(self, url: str, hints: Hints, *, platform: str) -> None:
        """`platform` is the same text in all processes of one database, and in no others."""
        self._client = connect(url)
        self._hints = hints
        self._channel = f"innominatus-hints-{platform[:16]}"
        self._me = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._topics: set[Topic] = set()
        self._wanted = threading.Event()
        self._listening = threading.Event()
        self._stop = threading.Event()
        self.connected = False
        self._sender = threading.Thread(target=self._send_all, name="hints-out", daemon=True)
        self._receiver = threading.Thread(target=self._receive_all, name="hints-in", daemon=True)

    def start(self) -> None:
        """Begin to tell; to hear only when somebody here listens."""
        self._sender.start()
        self._receiver.start()
        self._hints.connect(self)

    def stop(self) -> None:
        """What was told last is still sent, if Redis is there."""
        self._stop.set()
        self._wanted.set()
        self._listening.set()
        for thread in (self._sender, self._receiver):
            thread.join(3)
        self._client.close()

    def listen(self) -> None:
        self._listening.set()

    def send(self, topics: Collection[Topic]) -> None:
        with self._lock:
            self._topics.update(topics)
            if len(self._topics) > _MOST_TOPICS:
                self._topics = {ALL}
        self._wanted.set()

    # --- out ---

    def _send_all(self) -> None:
        missed = False
        while True:
            self._wanted.wait()
            self._wanted.clear()
            with self._lock:
                topics, self._topics = self._topics, set()
            if topics:
                told = {ALL} if missed else topics
                missed = not self._published(" ".join((self._me, *told)))
            if self._stop.is_set():
                return
            if missed:  # whoever listens looks by itself meanwhile, and is told to once more as soon as it can be
                self._stop.wait(_AWAY_SECONDS)
                self.send({ALL})
            else:
                self._stop.wait(_COALESCED_SECONDS)

    def _published(self, message: str) -> bool:
        try:
            self._client.publish(self._channel, message)  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped
        except (RedisError, OSError):
            return False
        return True

    # --- in ---

    def _receive_all(self) -> None:
        self._listening.wait()
        told = False
        while not self._stop.is_set():
            try:
                with self._client.pubsub() as channel:  # pyright: ignore[reportUnknownMemberType] - as above
                    self._receive(channel)
            except (RedisError, OSError) as error:
                if not told:
                    logger.warning("hints.away", error=str(error), meaning="news of other processes is looked for")
                told = True
            else:
                told = False
            self.connected = False
            self._stop.wait(_AWAY_SECONDS)

    def _receive(self, channel: PubSub) -> None:
        """Until it stops, or raises."""
        channel.subscribe(self._channel)
        heard = pinged = time.monotonic()
        while not self._stop.is_set():
            message = cast("Mapping[str, object] | None", channel.get_message(timeout=_HEARD_SECONDS))
            now = time.monotonic()
            if message is not None:
                heard = now
                self._take(message)
            if now - heard > _SILENT_SECONDS:
                raise TimeoutError("Redis does not answer")
            if now - pinged > _PING_SECONDS:
                channel.ping()
                pinged = now

    def _take(self, message: Mapping[str, object]) -> None:
        if message["type"] == "subscribe":
            self.connected = True
            self._hints.told({ALL})  # what was told before is told nobody again
        elif message["type"] == "message":
            data = message["data"]
            sender, *topics = data.decode("utf-8", "replace").split() if isinstance(data, bytes) else ("",)
            if sender != self._me:
                self._hints.told(topics)
