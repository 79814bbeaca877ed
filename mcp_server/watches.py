"""`resources/subscribe` for a client of the handshake era, on a transport that keeps its session: stdio."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from engine.errors import InnominatusError

logger = structlog.get_logger(__name__)

MOST_WATCHED = 200
_AWAY_SECONDS = 2.0
Tell = Callable[[str], Awaitable[None]]


class Follow(Protocol):
    async def __call__(self, uris: frozenset[str], begun: Callable[[], Awaitable[None]], tell: Tell, /) -> None:
        """Tell of every change of `uris`; `begun` is called once none will be missed. It may end when that is over."""
        ...


ContextT = TypeVar("ContextT")


class Client(Protocol):
    async def send_resource_updated(self, uri: str) -> None: ...


class Watches:
    """What one client has subscribed to. One task at a time tells it of changes, whatever the number of addresses.

    Where following has broken off it begins again after `pause` seconds.
    """

    def __init__(self, tasks: TaskGroup, follow: Follow, *, pause: float = _AWAY_SECONDS) -> None:
        self._tasks = tasks
        self._follow = follow
        self._pause = pause
        self._uris: frozenset[str] = frozenset()
        self._telling: anyio.CancelScope | None = None
        self._one_by_one = anyio.Lock()

    async def add(self, uri: str, client: Client) -> None:
        """Answered once no change of it is missed any more. Raises MCPError."""
        async with self._one_by_one:
            if uri not in self._uris and len(self._uris) >= MOST_WATCHED:
                why = f"At most {MOST_WATCHED} resources are subscribed to at once: unsubscribe from one first."
                raise MCPError(INVALID_PARAMS, why)
            await self._tell_of(self._uris | {uri}, client)

    async def drop(self, uri: str, client: Client) -> None:
        async with self._one_by_one:
            await self._tell_of(self._uris - {uri}, client)

    async def _tell_of(self, uris: frozenset[str], client: Client) -> None:
        """The new task begins before the one before it ends: nothing is missed, a change may be told twice."""
        if uris == self._uris:
            return
        before = self._telling
        try:
            self._telling = await self._tasks.start(self._run, uris, client) if uris else None
        except InnominatusError as error:
            raise MCPError(INTERNAL_ERROR, f"{error.message} {error.hint}") from error
        self._uris = uris
        if before is not None:
            before.cancel()

    async def _run(self, uris: frozenset[str], client: Client, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
        begun_before = False
        with anyio.CancelScope() as scope:

            async def tell(uri: str) -> None:
                try:
                    await client.send_resource_updated(uri)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # the client has gone
                    scope.cancel()

            async def begun() -> None:
                nonlocal begun_before
                if not begun_before:
                    begun_before = True
                    task_status.started(scope)
                    return
                for uri in sorted(uris):  # what changed meanwhile nobody knows
                    await tell(uri)

            while True:
                try:
                    await self._follow(uris, begun, tell)
                except (InnominatusError, MCPError) as error:
                    if not begun_before:
                        raise
                    logger.warning("mcp.watching-interrupted", error=type(error).__name__)
                await anyio.sleep(self._pause)


def offer(
    server: Server[ContextT],
    watches: Callable[[ServerRequestContext[ContextT, object]], Watches],
    *,
    check: Callable[[str], Awaitable[None]] | None = None,
) -> None:
    """Serve `resources/subscribe` and `resources/unsubscribe`, which also declares them. `check` raises MCPError."""

    async def subscribe(context: ServerRequestContext[ContextT, object], params: SubscribeRequestParams) -> EmptyResult:
        if check is not None:
            await check(str(params.uri))
        await watches(context).add(str(params.uri), context.session)
        return EmptyResult()

    async def unsubscribe(
        context: ServerRequestContext[ContextT, object], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        await watches(context).drop(str(params.uri), context.session)
        return EmptyResult()

    server.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
