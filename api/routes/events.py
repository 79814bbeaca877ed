"""The timeline."""

from typing import Annotated

from fastapi import Query

from api import models, routing
from api.inputs import ANYWHERE, Cursor, Environment, Filter, Limit, PlatformOf
from engine.domain.values import JsonObject
from engine.services import timeline, views

router = routing.router("events")


@router.get("/api/events", responses=models.page("events", models.Event))
def list_events(
    platform: PlatformOf,
    app: Filter = None,
    environment: Environment = ANYWHERE,
    after: Annotated[int, Query(ge=0, le=10**18, description="Only events with a higher id.")] = 0,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> JsonObject:
    """What happened, oldest first. `environment` counts only together with `app`."""
    start = max(after, int(cursor or 0))
    page = timeline.listed(platform, application=app, environment=environment, after=start, limit=limit)
    return {"items": [views.timeline_event(fact) for fact in page.items], "next_cursor": page.next_cursor}
