"""Hints for those who wait on an event loop: they hold no thread, and all of a process cost who commits one call."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial

from engine.store.hints import Hints, Topic

_Key = tuple[asyncio.AbstractEventLoop, Topic]


class AsyncBell:
    """Rung by hints: look first, then wait, then look again, and nothing is missed."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """On the event loop's own thread."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when it rings or has rung since the last wait, at the latest when it is time to look anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(seconds, self._hints.pause))):
                await self._rung.wait()
        self._rung.clear()


class Bells:
    """Any number of bells about one topic listen to it once per event loop."""

    def __init__(self, hints: Callable[[], Hints]) -> None:
        """`hints` is asked when the first bell is wanted: the platform may still be in the making."""
        self._hints = hints
        self._bells: dict[_Key, set[AsyncBell]] = {}
        self._ends: dict[_Key, Callable[[], None]] = {}
        self._called: set[_Key] = set()

    @contextmanager
    def on(self, topic: Topic) -> Generator[AsyncBell]:
        """A bell for hints about `topic`, to be used on the running event loop."""
        key = (asyncio.get_running_loop(), topic)
        hints = self._hints()
        bell = AsyncBell(hints)
        bells = self._bells.setdefault(key, set())
        bells.add(bell)
        if key not in self._ends:
            self._ends[key] = hints.listen(topic, partial(self._call, key))
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells:
                self._ends.pop(key)()
                del self._bells[key]

    def _call(self, key: _Key) -> None:
        """On whichever thread has committed something."""
        if key in self._called:  # the loop has not come to it yet
            return
        self._called.add(key)
        try:
            key[0].call_soon_threadsafe(self._ring, key)
        except RuntimeError:  # the loop is closed
            self._called.discard(key)

    def _ring(self, key: _Key) -> None:
        self._called.discard(key)
        for bell in self._bells.get(key, ()):
            bell.ring()
