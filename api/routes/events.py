"""The timeline."""

from typing import Annotated

from fastapi import Query

from api import models, routing
from api.inputs import ANYWHERE, Environment, Filter, Limit, PlatformOf
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
Place = Annotated[
    str, Query(pattern=r"^([0-9]{1,18}-)?[0-9]{0,18}$", description="Only what follows this `position`, or this id.")
]


def kinds_of(types: str) -> tuple[str, ...]:
    return tuple(kind for kind in types.split(",") if kind)


@router.get("/api/events", responses=models.page("events", models.Event))
def list_events(
    platform: PlatformOf,
    app: Filter = None,
    environment: Environment = ANYWHERE,
    types: Types = "",
    after: Place = "",
    cursor: Annotated[
        str, Query(pattern=r"^([0-9]{1,18}-)?[0-9]{0,18}$", description="`next_cursor` of the page before.")
    ] = "",
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
