"""The end of the timeline, read once for all who follow it in this process, and given to each through a short queue.

Who cannot keep up loses its queue, not its place: it reads on from the database, at its own pace. Nobody holds a
thread, and nothing here is felt by who commits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from typing import Final, ParamSpec, TypeVar

import anyio
import structlog
from anyio.to_thread import run_sync

from engine.domain.event import BEGINNING, Event, Position, Wanted
from engine.domain.values import ApplicationId
from engine.errors import Unavailable
from engine.services import timeline, views
from engine.services.bells import Bells
from engine.services.platform import Platform
from engine.store.away import in_short
from engine.store.events import Read
from engine.store.hints import EVENTS
from engine.store.types import dump_json

P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger()
_PAGE: Final = 500
_MOST_QUEUED: Final = 200
_READERS: Final = 4
"""Connections that all followers of a process together read with."""
_BREATH_SECONDS: Final = 0.01
"""Between two looks, so that a busy platform is not read once per commit."""
_HELD_BACK_SECONDS: Final = 0.03
_DATABASE_SECONDS: Final = 1.0


class Told:
    """An event on its way to many: written down once."""

    def __init__(self, event: Event) -> None:
        self.event = event

    @cached_property
    def frame(self) -> bytes:
        """As the stream of events carries it."""
        return f"id: {self.event.position}\ndata: {dump_json(views.timeline_event(self.event))}\n\n".encode()


class Follower:
    """One who follows: `position` is the last event it was given."""

    def __init__(self, tail: "Tail", wanted: Wanted, position: Position) -> None:
        self.wanted = wanted
        self.position = position
        self._tail = tail
        self._queue: deque[Told] = deque()
        self._rung = asyncio.Event()
        self._behind = True
        self._over = False

    def give(self, told: Told) -> None:
        if self._behind:
            return
        if len(self._queue) >= _MOST_QUEUED:
            self._queue.clear()
            self._behind = True
        else:
            self._queue.append(told)
        self._rung.set()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def let_go(self) -> None:
        """`next` returns now, and at once from now on."""
        self._over = True
        self._rung.set()

    async def next(self, seconds: float) -> Sequence[Told]:
        """What follows `position`; empty after `seconds` without any, or when let go."""
        while not self._over:
            if self._behind and not await self._read_on():
                return ()
            if found := self._take():
                return found
            if self._behind or self._over:
                continue
            self._rung.clear()
            reached = self._tail.reached
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._rung.wait()
                    continue
            if not self._queue and not self._behind:  # nothing up to there was for this one
                self.position = max(self.position, reached)
            return ()
        return ()

    def _take(self) -> Sequence[Told]:
        found: list[Told] = []
        for told in self._queue:
            if told.event.position > self.position:
                found.append(told)
                self.position = told.event.position
        self._queue.clear()
        return found

    async def _read_on(self) -> bool:
        """From the database; False when it is away. What the tail finds from now on is queued: nothing is between."""
        self._queue.clear()
        self._behind = False
        try:
            found = await self._tail.read(self.position, self.wanted)
        except Exception as error:  # noqa: BLE001 - whatever it is, the follower keeps its place and looks again
            logger.warning("events.unread", error=in_short(error))
            self._behind = True
            await asyncio.sleep(_DATABASE_SECONDS)
            return False
        self._behind = self._behind or found.more
        read = [Told(event) for event in found.events]
        self._queue.extendleft(reversed(read))
        return True


class Tail:
    """One per app. It reads only while somebody follows."""

    def __init__(self, platform: Platform, bells: Bells) -> None:
        self.closed = False
        self.reached = BEGINNING
        self._platform = platform
        self._bells = bells
        self._followers: dict[ApplicationId | None, set[Follower]] = {}
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._readers = anyio.CapacityLimiter(_READERS)

    @asynccontextmanager
    async def follow(self, wanted: Wanted, after: Position | None = None) -> AsyncGenerator[Follower]:
        """Follow from behind `after`, or from now on. Raises Unavailable when the doors are closing."""
        self.check_open()
        start = await self.aside(timeline.end, self._platform) if after is None else after
        follower = Follower(self, wanted, start)
        mine = self._followers.setdefault(wanted.application_id, set())
        mine.add(follower)
        try:
            async with self._starting:
                if self._task is None:
                    self.reached = await self.aside(timeline.end, self._platform)
                    self._task = asyncio.create_task(self._run())
            yield follower
        finally:
            mine.discard(follower)
            if not mine:
                self._followers.pop(wanted.application_id, None)
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = None

    def check_open(self) -> None:
        """Raises Unavailable when the doors are closing."""
        if self.closed:
            raise Unavailable("The server is stopping.", code="stopping", hint="Connect again in a moment.")

    def close(self) -> None:
        """Let everybody go: the server stops."""
        self.closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.let_go()
        if self._task is not None:
            self._task.cancel()

    async def aside(self, service: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a service that reads on one of the few threads for that."""
        return await run_sync(partial(service, *args, **kwargs), limiter=self._readers)

    async def read(self, after: Position, wanted: Wanted) -> Read:
        return await self.aside(timeline.read, self._platform, after, wanted=wanted, limit=_PAGE)

    async def _run(self) -> None:
        with self._bells.on(EVENTS) as bell:
            while True:
                try:
                    found = await self.read(self.reached, Wanted())
                except Exception as error:  # noqa: BLE001 - the database is away: it is asked again
                    logger.warning("events.unread", error=in_short(error))
                    await asyncio.sleep(_DATABASE_SECONDS)
                    continue
                self._give(found)
                if not found.more:
                    await bell.wait(_HELD_BACK_SECONDS if found.held_back else _LONGEST_SECONDS)
                    await asyncio.sleep(_BREATH_SECONDS)

    def _give(self, found: Read) -> None:
        for event in found.events:
            told = Told(event)
            for about in {None, event.application_id}:
                for follower in self._followers.get(about, ()):
                    if follower.wanted.takes(event):
                        follower.give(told)
        self.reached = found.reached


_LONGEST_SECONDS: Final = 3600.0
"""The bell knows itself when to look without a hint."""
