"""Hints between processes, by publishing through Redis. Nobody who commits ever waits for Redis, or fails with it."""

import secrets
import threading
from collections.abc import Collection

from redis import RedisError

from engine.runtime.queue import connect
from engine.runtime.subscription import Subscription
from engine.store.hints import ALL, Hints, Topic

_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.005, 0.02
_FEW_TOPICS = 4
"""After a message about a few topics the next one follows sooner: at most 200 a second, and 50 where there is much."""
_MOST_TOPICS = 500
"""More than that in one message is told as `anything`."""
_AWAY_SECONDS = 0.5


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
        self._stop = threading.Event()
        self._sender = threading.Thread(target=self._send_all, name="hints-out", daemon=True)
        self._receiver = Subscription(
            self._client,
            self._channel,
            joined=lambda: hints.told({ALL}),  # what was told before is told nobody again
            heard=self._heard,
            meanwhile="news of other processes is looked for",
        )

    def start(self) -> None:
        """Begin to tell; to hear only when somebody here listens."""
        self._sender.start()
        self._hints.connect(self)

    def stop(self) -> None:
        """What was told last is still sent, if Redis is there."""
        self._stop.set()
        self._wanted.set()
        self._sender.join(3)
        self._receiver.stop()
        self._client.close()

    @property
    def connected(self) -> bool:
        return self._receiver.connected

    def listen(self) -> None:
        self._receiver.start()

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
                few = len(topics) <= _FEW_TOPICS and ALL not in topics
                self._stop.wait(_PAUSE_SECONDS if few else _LONG_PAUSE_SECONDS)

    def _published(self, message: str) -> bool:
        try:
            self._client.publish(self._channel, message)  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped
        except (RedisError, OSError):
            return False
        return True

    # --- in ---

    def _heard(self, message: bytes) -> None:
        sender, *topics = message.decode("utf-8", "replace").split() or [self._me]
        if sender != self._me:
            self._hints.told(topics)
