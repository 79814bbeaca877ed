"""The timeline."""

from collections.abc import AsyncGenerator
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
from engine.services import timeline, views

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
    place = last_event_id or after
    start = await run_in_threadpool(timeline.position, platform, place) if place else None
    return StreamingResponse(_told(live.tail, wanted, start), media_type="text/event-stream", headers=_HEADERS)


async def _told(tail: Tail, wanted: Wanted, start: Position | None) -> AsyncGenerator[bytes]:
    async with tail.follow(wanted, start) as follower:
        yield f"retry: {_AGAIN_MS}\nid: {follower.position}\n\n".encode()
        while not tail.closed:
            found = await follower.next(_HEARTBEAT_SECONDS)
            if found:
                yield b"".join(told.frame for told in found)
            elif not tail.closed:
                yield f": nothing new\nid: {follower.position}\n\n".encode()
