"""MCP over stdio for a server that runs elsewhere: every request goes to its streamable HTTP endpoint.

Each request is a connection of its own in the stateless era of the protocol, so a restart of the server in between
loses nothing, and starting costs no round trip. The era in which the client speaks is its own affair.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeVar

import anyio
import httpx2
from anyio.abc import TaskGroup
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    ResourceUpdated,
    ServerEvent,
    event_to_notification,
)
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequest,
    CompleteResult,
    GetPromptRequest,
    GetPromptResult,
    ListPromptsRequest,
    ListPromptsResult,
    ListResourcesRequest,
    ListResourcesResult,
    ListResourceTemplatesRequest,
    ListResourceTemplatesResult,
    ListToolsRequest,
    ListToolsResult,
    ReadResourceRequest,
    ReadResourceResult,
    Request,
    RequestParams,
    Result,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from mcp_types.version import LATEST_MODERN_VERSION

from engine.errors import Denied, InnominatusError, Unavailable
from mcp_server.errors import failed
from mcp_server.instructions import instructions
from mcp_server.toolsets import READ_ONLY_HEADER, TOOLSETS_HEADER, Selection
from mcp_server.watches import Tell, Watches, offer

R = TypeVar("R", bound=Result)
P = TypeVar("P", bound=RequestParams)
T = TypeVar("T")
Call = ServerRequestContext["Remote", object]

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 90.0
"""Longer than the longest wait of a tool."""


class _Refused(Exception):
    """The server wants another token."""


async def _check(response: httpx2.Response) -> None:
    if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise _Refused


class Remote:
    """The far server. `send` raises Unavailable or Denied when it cannot be asked, MCPError when it refuses.

    `watches` is what the near client has subscribed to, told by one stream from there.
    """

    def __init__(self, url: str, http: httpx2.AsyncClient, tasks: TaskGroup) -> None:
        self.url = url
        self.watches = Watches(tasks, self._follow)
        self._http = http

    async def send(self, request: Request[Any, Any], answer: type[R], progress: ProgressFnT | None = None) -> R:
        return await self._with_client(
            lambda client: client.session.send_request(request, answer, progress_callback=progress)
        )

    async def listen(
        self,
        wanted: SubscriptionFilter,
        begun: Callable[[SubscriptionFilter], Awaitable[None]],
        tell: Callable[[ServerEvent], Awaitable[None]],
    ) -> None:
        """Tell what changes there, until the far server ends it; `begun` is told what it will tell of."""

        async def follow(client: Client) -> None:
            listening = client.listen(
                tools_list_changed=bool(wanted.tools_list_changed),
                prompts_list_changed=bool(wanted.prompts_list_changed),
                resources_list_changed=bool(wanted.resources_list_changed),
                resource_subscriptions=wanted.resource_subscriptions or (),
            )
            async with listening as changes:
                await begun(changes.honored)
                async for change in changes:
                    await tell(change)

        await self._with_client(follow)

    async def _follow(self, uris: frozenset[str], begun: Callable[[], Awaitable[None]], tell: Tell) -> None:
        async def agreed(_: SubscriptionFilter) -> None:
            await begun()

        async def changed(event: ServerEvent) -> None:
            if isinstance(event, ResourceUpdated):
                await tell(event.uri)

        await self.listen(SubscriptionFilter(resource_subscriptions=sorted(uris)), agreed, changed)

    async def _with_client(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """What `work` comes to on a connection of its own."""
        try:
            transport = streamable_http_client(self.url, http_client=self._http)
            async with Client(transport, mode=LATEST_MODERN_VERSION) as client:
                return await work(client)
        except* MCPError as group:
            raise _only(group) from None
        except* _Refused:
            raise self._refused() from None
        except* (httpx2.HTTPError, OSError) as group:
            raise self._unreachable() from group

    def _refused(self) -> Denied:
        hint = "A person sets INNOMINATUS_API_KEY to the server's token, where this program is started."
        given = "authorization" in self._http.headers
        why = "does not accept the token" if given else "wants a token, and none was given"
        return Denied(f"The innominatus server at {self.url} {why}.", hint=hint)

    def _unreachable(self) -> Unavailable:
        hint = "Call again in a few seconds, or ask the person whether `innominatus serve` is running."
        return Unavailable(f"The innominatus server at {self.url} does not answer.", hint=hint)


def _only(group: BaseExceptionGroup[MCPError]) -> MCPError:
    """The first error of a group; one request fails in one way."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, MCPError)
    return first


def run_forwarder(url: str, token: str, selection: Selection) -> None:
    """Serve one client on stdin and stdout until it closes stdin, by the server at `url` (ending in `/mcp`)."""
    anyio.run(_serve, forwarder(url, token, selection))


def forwarder(url: str, token: str, selection: Selection = Selection()) -> Server["Remote"]:  # noqa: B008 - it is frozen
    """The server that forwards to `url`, asking for a selection of tools: it gets as much of it as is offered there."""

    @asynccontextmanager
    async def connected(_: Server[Remote]) -> AsyncGenerator[Remote]:
        hooks = {"response": [_check]}
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=_ANSWER_SECONDS)
        async with (
            httpx2.AsyncClient(headers=_headers(token, selection), timeout=timeout, event_hooks=hooks) as client,
            anyio.create_task_group() as tasks,
        ):
            yield Remote(url, client, tasks)
            tasks.cancel_scope.cancel()

    server = Server(
        "innominatus",
        version=version("innominatus"),
        instructions=instructions(selection, far=True),
        lifespan=connected,
        on_list_tools=_forwarded(ListToolsRequest, ListToolsResult),
        on_call_tool=_call_tool,
        on_list_resources=_forwarded(ListResourcesRequest, ListResourcesResult),
        on_list_resource_templates=_forwarded(ListResourceTemplatesRequest, ListResourceTemplatesResult),
        on_read_resource=_forwarded(ReadResourceRequest, ReadResourceResult),
        on_list_prompts=_forwarded(ListPromptsRequest, ListPromptsResult),
        on_get_prompt=_forwarded(GetPromptRequest, GetPromptResult),
        on_completion=_forwarded(CompleteRequest, CompleteResult),
        on_subscriptions_listen=_listen,
    )
    offer(server, lambda context: context.lifespan_context.watches)
    return server


def _headers(token: str, selection: Selection) -> dict[str, str]:
    headers = {TOOLSETS_HEADER: ",".join(sorted(selection.toolsets))}
    if selection.read_only:
        headers[READ_ONLY_HEADER] = "true"
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


async def _serve(server: Server[Remote]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _forwarded(
    request: Callable[..., Request[Any, Any]], answer: type[R]
) -> Callable[[Call, RequestParams | None], Awaitable[R]]:
    async def forward(context: Call, params: RequestParams | None) -> R:
        bare = None if params is None else _bare(params)
        try:
            return await context.lifespan_context.send(request(params=bare), answer)
        except InnominatusError as error:
            raise MCPError(INTERNAL_ERROR, f"{error.message} {error.hint}") from error

    return forward


async def _call_tool(context: Call, params: CallToolRequestParams) -> CallToolResult:
    """A server out of reach is an answer that the model reads, not a protocol error."""
    try:
        request = CallToolRequest(params=_bare(params))
        return await context.lifespan_context.send(request, CallToolResult, context.session.report_progress)
    except InnominatusError as error:
        return failed(error)


async def _listen(context: Call, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
    """The client's stream of changes, fed by one of ours from the server."""
    asked = context.request_id
    if asked is None:
        raise MCPError(INVALID_REQUEST, "subscriptions/listen needs a request id")
    meta = {SUBSCRIPTION_ID_META_KEY: asked}

    async def begun(honored: SubscriptionFilter) -> None:
        agreed = SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
        told = SubscriptionsAcknowledgedNotification(params=agreed)
        await context.session.send_notification(told, related_request_id=asked)

    async def tell(change: ServerEvent) -> None:
        await context.session.send_notification(event_to_notification(change, meta), related_request_id=asked)

    try:
        await context.lifespan_context.listen(params.notifications, begun, tell)
    except InnominatusError as error:
        raise MCPError(INTERNAL_ERROR, f"{error.message} {error.hint}") from error
    return SubscriptionsListenResult(_meta=meta)


def _bare(params: P) -> P:
    """Without `_meta`: it belongs to the connection with the client; ours to the server gets its own."""
    return params.model_copy(update={"meta": None})
