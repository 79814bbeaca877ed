"""The graph of an application, now or at a moment."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator

from api import models, routing
from api.inputs import ANYWHERE, Environment, Name, PlatformOf
from engine.domain.graph import to_json
from engine.domain.values import JsonObject
from engine.services import graphs
from engine.services.graphs import Form

router = routing.router("graphs")


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


At = Annotated[
    Annotated[datetime, AfterValidator(_in_utc)] | None,
    Query(description="The graph as it was then (ISO 8601; UTC unless it says otherwise)."),
]
_MEDIA = {Form.JSON: "application/json", Form.DOT: "text/vnd.graphviz"}


@router.get("/api/graph/{app}", responses=models.one(models.Graph))
def get_graph(platform: PlatformOf, app: Name, environment: Environment = ANYWHERE, at: At = None) -> JsonObject:
    view = graphs.of_application(platform, app, environment=environment, at=at)
    return to_json(view.graph, view.states)


@router.get("/api/graph/{app}/export", response_class=Response, responses=models.TEXT)
def export_graph(
    platform: PlatformOf,
    app: Name,
    format: Annotated[Form, Query(description="How to write it down.")] = Form.JSON,
    environment: Environment = ANYWHERE,
    at: At = None,
) -> Response:
    text = graphs.export(platform, app, form=format, environment=environment, at=at)
    return Response(text, media_type=_MEDIA.get(format, "text/plain"))
