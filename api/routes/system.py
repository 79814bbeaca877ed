"""The server itself: is it alive, is it ready, what does it count, and whom does it take you for."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api import errors, models, routing, system_models
from api.auth import METADATA
from api.inputs import ActorOf, PlatformOf
from api.metrics import Metrics
from engine.domain.values import JsonObject
from engine.errors import Unavailable
from engine.services import overview, views

router = routing.router("system")


_DOORS = {
    "/docs": "the REST API, described for people",
    "/openapi.json": "the same for programs",
    "/mcp": "MCP over HTTP, with the same token",
    "/health": "whether the process is alive",
    "/ready": "whether it takes work",
    "/metrics": "for Prometheus",
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the engine takes work. `reason` says why not, or what is amiss although it does."""

    ready: bool
    reason: str = ""


def always_ready() -> Readiness:
    """For a door without an engine beside it: the database is all it needs."""
    return Readiness(ready=True)


@router.get("/", responses=models.one(system_models.Welcome))
async def welcome(request: Request) -> JsonObject:
    """What this is, and where its doors are."""
    app: FastAPI = request.app
    return {"name": app.title, "version": app.version, "summary": app.summary, "doors": {**_DOORS}}


@router.get("/health", responses=models.one(system_models.Health))
async def health() -> JsonObject:
    """The process is alive."""
    return {"status": "ok"}


@router.get("/ready", responses={**models.one(system_models.Health), **models.UNAVAILABLE})
def ready(request: Request, platform: PlatformOf) -> Response | JsonObject:
    """The database answers and the engine takes work; otherwise 503 with the reason."""
    overview.check_database(platform)
    ask: Callable[[], Readiness] = request.app.state.ready
    found = ask()
    if not found.ready:
        return errors.response(Unavailable(found.reason or "The engine does not take work.", code="not_ready"))
    return {"status": "degraded", "reason": found.reason} if found.reason else {"status": "ready"}


@router.get(METADATA, responses=models.one(system_models.ProtectedResource))
async def mcp_metadata(request: Request) -> JsonObject:
    """How an MCP client is let in: with a token in a header, as the REST API's clients are."""
    base = str(request.base_url).rstrip("/")
    return {
        "resource": f"{base}/mcp",
        "resource_name": "innominatus",
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{base}/docs",
    }


@router.get("/metrics", response_class=Response, responses=models.TEXT)
def read_metrics(request: Request) -> Response:
    """Prometheus metrics."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/api/stats", responses=models.one(system_models.Stats))
def get_stats(platform: PlatformOf) -> JsonObject:
    return views.overview(overview.of_platform(platform))


@router.get("/api/auth/whoami", responses=models.one(system_models.WhoAmI))
async def whoami(actor: ActorOf) -> JsonObject:
    return {"actor": str(actor), "kind": actor.kind.value, "name": actor.name}
