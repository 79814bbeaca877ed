"""The timeline."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated, Final

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api import models, routing
from api.inputs import ANYWHERE, Environment, Filter, Limit, PlatformOf
from api.live import Live
from api.tail import Tail
from engine.domain.event import Position, Wanted
from engine.domain.values import JsonObject
from engine.errors import Unavailable
from engine.services import timeline, views
from engine.services.platform import Platform

router = routing.router("events")

Types = Annotated[
    str,
    Query(
        pattern=r"^[a-z][a-z.-]*(,[a-z][a-z.-]*)*$|^$",
        max_length=1000,
        description="Only events of these kinds, separated by commas; `resource` stands for all that begin with it.",
    ),
]
PLACE: Final = r"^([0-9]{1,18}-)?[0-9]{0,18}$"
Place = Annotated[str, Query(pattern=PLACE, description="Only what follows this `position`, or this id.")]


def kinds_of(types: str) -> tuple[str, ...]:
    return tuple(kind for kind in types.split(",") if kind)


@router.get("/api/events", responses=models.page("events", models.Event))
def list_events(
    platform: PlatformOf,
    app: Filter = None,
    environment: Environment = ANYWHERE,
    types: Types = "",
    after: Place = "",
    cursor: Annotated[str, Query(pattern=PLACE, description="`next_cursor` of the page before.")] = "",
    limit: Limit = 100,
    *,
    newest: Annotated[bool, Query(description="The last events instead of the first: one page, oldest first.")] = False,
) -> JsonObject:
    """What happened, oldest first. `environment` counts only together with `app`."""
    kinds = kinds_of(types)
    if newest:
        last = timeline.newest(platform, application=app, environment=environment, kinds=kinds, limit=limit)
        return {"items": [views.timeline_event(fact) for fact in last], "next_cursor": ""}
    start = cursor or after
    page = timeline.listed(platform, application=app, environment=environment, kinds=kinds, after=start, limit=limit)
    return {"items": [views.timeline_event(fact) for fact in page.items], "next_cursor": page.next_cursor}


_HEARTBEAT_SECONDS: Final = 15.0
_AGAIN_MS: Final = 2000
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("/api/events/stream", response_class=StreamingResponse, responses=models.EVENT_STREAM)
async def stream_events(
    request: Request,
    platform: PlatformOf,
    app: Filter = None,
    environment: Environment = ANYWHERE,
    types: Types = "",
    after: Place = "",
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", pattern=PLACE, description="Sent by clients that connect again.")
    ] = "",
) -> StreamingResponse:
    """What happens, as it happens: server-sent events with the event's `position` as id, from now on or behind `after`.

    A client that connects again with `Last-Event-ID` misses nothing. Every 15 s without an event there is a comment.
    """
    live: Live = request.app.state.live
    live.tail.check_open()
    wanted = await run_in_threadpool(
        timeline.wanted_of, platform, application=app, environment=environment, kinds=kinds_of(types)
    )
    # Asked before anything is answered, so that a database which is away is told as what it is.
    start = await run_in_threadpool(_start, platform, last_event_id or after)
    return StreamingResponse(_told(live.tail, wanted, start), media_type="text/event-stream", headers=_HEADERS)


def _start(platform: Platform, place: str) -> Position:
    return timeline.position(platform, place) if place else timeline.end(platform)


async def _told(tail: Tail, wanted: Wanted, start: Position) -> AsyncGenerator[bytes]:
    """Ends when the platform cannot tell any more: the client connects again and is told why, or what it missed."""
    with suppress(Unavailable):
        async with tail.follow(wanted, start) as follower:
            yield f"retry: {_AGAIN_MS}\nid: {follower.position}\n\n".encode()
            while not tail.closed:
                found = await follower.next(_HEARTBEAT_SECONDS)
                if found:
                    yield b"".join(told.frame for told in found)
                elif not tail.closed:
                    yield f": nothing new\nid: {follower.position}\n\n".encode()
