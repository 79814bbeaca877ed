"""What is published on one channel of Redis, heard by a thread of its own. Redis may be away."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import cast

import structlog
from redis import Redis, RedisError
from redis.client import PubSub

logger = structlog.get_logger()
_AWAY_SECONDS = 0.5
_HEARD_SECONDS = 1.0
_PING_SECONDS = 5.0
_SILENT_SECONDS = 10.0
"""A connection without a sign of life for so long is given up."""


class Subscription:
    """`heard` is called with each message, `joined` whenever hearing begins: what was published before never comes."""

    def __init__(
        self, client: Redis, channel: str, *, joined: Callable[[], None], heard: Callable[[bytes], None], meanwhile: str
    ) -> None:
        """`meanwhile` says what happens while Redis is away."""
        self._client = client
        self._channel = channel
        self._joined = joined
        self._heard = heard
        self._meanwhile = meanwhile
        self._stop = threading.Event()
        self.connected = False
        self._thread = threading.Thread(target=self._run, name=f"hears-{channel}"[:15], daemon=True)

    def start(self) -> None:
        """The first call begins it, others change nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(3)

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                with self._client.pubsub() as channel:  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped
                    self._receive(channel)
            except (RedisError, OSError) as error:
                if not told:
                    logger.warning("redis.silent", error=str(error), meaning=self._meanwhile)
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
            self._joined()
        elif message["type"] == "message":
            data = message["data"]
            self._heard(data if isinstance(data, bytes) else b"")
