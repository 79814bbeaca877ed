"""Door 2: the REST API as one ASGI app, into which the composition root puts the MCP app."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api import errors, openapi
from api.auth import Gate, Guard, one_token
from api.live import Live
from api.metrics import Counting, Metrics
from api.routes import (
    admin,
    applications,
    docs,
    events,
    golden_paths,
    graphs,
    live,
    providers,
    resources,
    specs,
    system,
    validation,
    workflows,
)
from api.routes.system import Readiness, always_ready
from engine.services import overview
from engine.services.platform import Platform

__all__ = ["Readiness", "create_app"]

NOUNS = (
    workflows,
    resources,
    applications,
    specs,
    golden_paths,
    providers,
    graphs,
    events,
    validation,
    admin,
    system,
)
"""What is asked for most comes first: routes are tried in their order."""

_BODY_SLACK = 100_000

Lifespan = Callable[[], AbstractAsyncContextManager[object]]


def create_app(
    platform: Platform,
    *,
    token: str,
    allowed_hosts: Collection[str] = (),
    ready: Callable[[], Readiness] = always_ready,
    mcp_app: Starlette | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The whole door. `allowed_hosts` are names besides the loopback ones; `ready` speaks for the engine.

    `mcp_app` answers at `/mcp` behind the same token and host checks; its lifespan is entered with this app's,
    inside `lifespan`. Raises Invalid for an empty token.
    """
    app = FastAPI(
        title="innominatus",
        version=openapi.VERSION,
        summary=openapi.SUMMARY,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(lifespan, mcp_app),
    )
    metrics = Metrics(platform)
    app.state.platform, app.state.ready, app.state.metrics = platform, ready, metrics
    app.state.live = Live(platform)
    for module in NOUNS:  # including the routers would have each route looked for twice, once in its router
        app.router.routes.extend(module.router.routes)
    app.router.routes.extend([*live.ROUTES, *docs.ROUTES])
    if mcp_app is not None:  # before the others: they are tried in their order
        app.router.routes.insert(0, Route("/mcp", _Whole(mcp_app), include_in_schema=False))
    errors.install(app)
    openapi.install(app)
    # The last one added is the outermost.
    app.add_middleware(errors.Unexpected, check=partial(overview.check_database, platform))
    app.add_middleware(Guard, gate=Gate(one_token(token), allowed_hosts, _largest_body(platform)))
    app.add_middleware(Counting, metrics=metrics)
    return app


def close_streams(app: FastAPI) -> None:
    """End what is told for as long as somebody listens: the server is about to stop. On the event loop's thread."""
    live: Live = app.state.live
    live.close()


def _largest_body(platform: Platform) -> int:
    """Of a document of the largest size, as JSON with ordinary escaping."""
    return platform.settings.max_spec_bytes * 2 + _BODY_SLACK


class _Whole:
    """An app as the endpoint of one path: it gets every method, and everything else still gets our 404."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _lifespan(
    own: Lifespan | None, mcp_app: Starlette | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def entered(_app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            if own is not None:
                await stack.enter_async_context(own())
            if mcp_app is not None:
                await stack.enter_async_context(mcp_app.router.lifespan_context(mcp_app))
            yield

    return entered
