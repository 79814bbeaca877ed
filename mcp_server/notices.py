"""Tells MCP clients that listen which resources have changed, from the timeline: whoever made the change, and where."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)

from engine.domain.event import Event
from engine.domain.values import ApplicationId
from engine.errors import Unavailable
from engine.services import applications, timeline
from engine.store.hints import EVENTS
from mcp_server.house import House, aside
from mcp_server.library import uri

logger = structlog.get_logger(__name__)

_BREATH_SECONDS = 0.05
"""Between two looks, so that a busy platform is not read once per commit."""
_LOOK_SECONDS, _AWAY_SECONDS, _BEGIN_SECONDS = 5.0, 2.0, 10.0
_LISTED = frozenset({"spec.submitted", "application.deleted", "application.expired"})
"""Kinds of events after which another list of resources is there."""


class Notices:
    """A bus of the SDK's kind. It reads the timeline only while somebody listens."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._bus = InMemorySubscriptionBus()
        self._listening = 0
        self._following: asyncio.Task[None] | None = None
        self._reading = asyncio.Event()

    async def follow(
        self,
        uris: frozenset[str],
        begun: Callable[[], Awaitable[None]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """Tell of every change of `uris`, until it is cancelled; `begun` is called once none will be missed.

        Raises Unavailable when the timeline cannot be read now.
        """
        changed: dict[str, None] = {}
        arrived = asyncio.Event()

        def note(event: ServerEvent) -> None:
            if isinstance(event, ResourceUpdated) and event.uri in uris:
                changed[event.uri] = None
                arrived.set()

        unsubscribe = self.subscribe(note)
        try:
            await self._at_work()
            await begun()
            while True:
                await arrived.wait()
                arrived.clear()
                while changed:
                    await tell(changed.popitem()[0])
        finally:
            unsubscribe()

    async def _at_work(self) -> None:
        try:
            await asyncio.wait_for(self._reading.wait(), _BEGIN_SECONDS)
        except TimeoutError:
            hint = "Subscribe again in a few seconds."
            raise Unavailable("What changes cannot be read from the database now.", hint=hint) from None

    async def publish(self, event: ServerEvent) -> None:
        await self._bus.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """On the event loop."""
        leave = self._bus.subscribe(listener)
        self._listening += 1
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        left = False

        def unsubscribe() -> None:
            nonlocal left
            leave()
            if left:
                return
            left = True
            self._listening -= 1
            if not self._listening and self._following is not None:
                self._following.cancel()
                self._following = None
                self._reading.clear()

        return unsubscribe

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_on()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the database is away, say: the timeline goes on when it is back
                logger.warning("mcp.notices-interrupted", error=type(error).__name__)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _read_on(self) -> None:
        platform = await aside(self._house.get)
        position = await aside(timeline.end, platform)
        self._reading.set()
        with self._house.bells.on(EVENTS) as bell:
            while True:
                found = await aside(timeline.read, platform, position)
                position = found.reached
                for notice in await aside(self._notices, found.events):
                    await self._bus.publish(notice)
                if not found.more:
                    await bell.wait(_LOOK_SECONDS)
                await asyncio.sleep(_BREATH_SECONDS)

    def _notices(self, events: Iterable[Event]) -> list[ServerEvent]:
        """What these events changed, each once."""
        told = list(events)
        ids = {fact.application_id for fact in told if fact.application_id is not None}
        names = applications.names_of(self._house.platform, ids) if ids else {}
        found = [notice for fact in told for notice in _of(fact, names)]
        return list({repr(notice): notice for notice in found}.values())


def _of(fact: Event, names: dict[ApplicationId, tuple[str, str]]) -> list[ServerEvent]:
    uris: list[str] = []
    if fact.execution_id is not None:
        uris += [uri("executions", fact.execution_id), uri("logs", fact.execution_id)]
    if fact.resource_id is not None:
        uris.append(uri("resources", fact.resource_id))
    with suppress(KeyError):
        at = names[ApplicationId(fact.application_id or 0)]
        uris += [uri("graph", *at)] + ([uri("specs", *at)] if fact.kind.startswith("spec.") else [])
    updated: list[ServerEvent] = [ResourceUpdated(uri=one) for one in uris]
    return [*updated, ResourcesListChanged()] if fact.kind in _LISTED else updated
