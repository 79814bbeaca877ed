"""Hints that something new is committed. A hint says what it is about, no more: who hears it reads the database.

Whoever commits tells: `Store` does, after the commit, for transactions that recorded events, steps or logs. Telling
costs the committing thread next to nothing and cannot fail. A hint may be lost on its way between processes, so that
who waits for one looks by itself every `pause` seconds, too.
"""

import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from engine.domain.values import ApplicationId, ExecutionId

logger = structlog.get_logger()

Topic = str
EVENTS: Final[Topic] = "e"
ALL: Final[Topic] = "*"
"""As a hint: anything may have happened. As what is listened to: everything."""
_ALONE_PAUSE = 5.0
"""A look of one's own, where every hint arrives; elsewhere hints of other processes do not come at all."""
_DEAF_PAUSE = 1.0


def of_execution(execution_id: ExecutionId) -> Topic:
    return f"x{execution_id}"


def of_end(execution_id: ExecutionId) -> Topic:
    """Its end alone: who waits for that is not called for each step."""
    return f"z{execution_id}"


def of_application(application_id: ApplicationId) -> Topic:
    return f"a{application_id}"


class Far(Protocol):
    """The way to the hints of other processes."""

    @property
    def connected(self) -> bool:
        """Whether those of others arrive."""
        ...

    def send(self, topics: Collection[Topic]) -> None:
        """Returns at once and never raises."""
        ...

    def listen(self) -> None:
        """Somebody here wants to hear them."""
        ...


class Hints:
    """One per process and database. Thread safe."""

    def __init__(self, *, alone: bool) -> None:
        """`alone` says that no other process writes to the database."""
        self._alone = alone
        self._lock = threading.Lock()
        self._heard: dict[Topic, tuple[Callable[[], None], ...]] = {}
        self._far: Far | None = None

    def connect(self, far: Far) -> None:
        """Tell other processes, and hear them, from now on."""
        self._far = far
        if self._heard:
            far.listen()

    @property
    def wanted(self) -> bool:
        """False while telling would reach nobody."""
        return bool(self._heard) or self._far is not None

    @property
    def complete(self) -> bool:
        """Whether the hints of all processes come here."""
        return self._alone or (self._far is not None and self._far.connected)

    @property
    def pause(self) -> float:
        """After how many seconds to look without a hint."""
        return _ALONE_PAUSE if self.complete else _DEAF_PAUSE

    def tell(self, topics: Collection[Topic]) -> None:
        """Something about these is committed."""
        if self._far is not None:
            self._far.send(topics)
        self.told(topics)

    def told(self, topics: Collection[Topic]) -> None:
        """As `tell`, within this process."""
        heard = self._heard
        if not heard:
            return
        for topic in heard if ALL in topics else (*topics, ALL):
            for call in heard.get(topic, ()):
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - what is committed is committed, whoever cannot hear it
                    logger.warning("hints.lost", error=repr(error))

    def listen(self, topic: Topic, call: Callable[[], None]) -> Callable[[], None]:
        """`call` is called for each hint about `topic`, on the thread that tells: it must return at once.

        The answer ends that.
        """
        with self._lock:
            self._heard = {**self._heard, topic: (*self._heard.get(topic, ()), call)}
        if self._far is not None:
            self._far.listen()

        def end() -> None:
            with self._lock:
                kept = list(self._heard.get(topic, ()))
                if call in kept:
                    kept.remove(call)
                others = {known: calls for known, calls in self._heard.items() if known != topic}
                self._heard = {**others, topic: tuple(kept)} if kept else others

        return end

    @contextmanager
    def bell(self, topic: Topic) -> "Generator[Bell]":
        """A bell that hints about `topic` ring."""
        bell = Bell(self)
        end = self.listen(topic, bell.ring)
        try:
            yield bell
        finally:
            end()


class Bell:
    """Rung by hints: look first, then wait, then look again, and nothing is missed."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self._rung = threading.Event()
        self._impatience = _FIRST_PAUSE

    def ring(self) -> None:
        self._rung.set()

    def wait(self, seconds: float) -> None:
        """Return when it rings or has rung since the last wait, at the latest when it is time to look anyway."""
        pause = self._hints.pause
        if not self._hints.complete:
            pause = self._impatience
            self._impatience = min(pause * 1.5, _LONGEST_PAUSE)
        self._rung.wait(max(0.0, min(seconds, pause)))
        self._rung.clear()


_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25
"""Where hints of other processes do not come, one waiter looks more often than a whole process does."""
