"""The MCP door with what the conformance suites ask of every server: their tools, resources and prompts beside ours."""

from collections.abc import Iterable, Mapping

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import ToolManager
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import (
    CallToolResult,
    EmptyResult,
    InputRequiredResult,
    JSONRPCMessage,
    RequestParams,
    Resource,
    ResourceTemplate,
    SetLevelRequestParams,
    SubscribeRequestParams,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl
from starlette.applications import Starlette

from engine.domain.values import Actor, ActorKind
from engine.services.platform import Platform
from mcp_server.http import served_names
from mcp_server.server import PlatformServer, create_server
from tests.conformance import fixture_library, fixture_questions, fixture_tools

TESTER = Actor(ActorKind.AGENT, "conformance")
_RETRY_MILLISECONDS = 100


class FixtureServer(PlatformServer):
    """Ours, which lets the names of the suites through to the SDK."""

    def add_fixtures(self) -> None:
        """Offer all of them, and what a client of the handshake era may ask besides."""
        self._added = {tool.name: tool for tool in (*fixture_tools.tools(), *fixture_questions.tools())}
        self._tool_manager = ToolManager(tools=[*self._tool_manager.list_tools(), *self._added.values()])
        for resource in fixture_library.resources():
            self.add_resource(resource)
        self.resource(fixture_library.TEMPLATE, mime_type="application/json")(fixture_library.data_of)
        for prompt in (*fixture_library.prompts(), *fixture_questions.prompts()):
            self.add_prompt(prompt)
        for method, params in _HANDSHAKE_ERA.items():
            self._lowlevel_server.add_request_handler(method, params, _agreed)

    async def list_tools(self) -> list[Tool]:
        every = await MCPServer.list_tools(self)
        return [*await super().list_tools(), *(tool for tool in every if tool.name in self._added)]

    async def call_tool(
        self, name: str, arguments: dict[str, object], context: Context[object, object] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if name in self._added:
            return await MCPServer.call_tool(self, name, arguments, context)
        return await super().call_tool(name, arguments, context)

    async def list_resources(self) -> list[Resource]:
        return [*await super().list_resources(), *await MCPServer.list_resources(self)]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [*await super().list_resource_templates(), *await MCPServer.list_resource_templates(self)]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[object, object] | None = None
    ) -> Iterable[ReadResourceContents]:
        at = str(uri)
        if at not in {one.uri for one in self._resource_manager.list_resources()} and "/template/" not in at:
            return await super().read_resource(uri, context)
        found = await MCPServer.read_resource(self, uri, context)
        assert not isinstance(found, InputRequiredResult)
        return found


_HANDSHAKE_ERA: Mapping[str, type[RequestParams]] = {
    "logging/setLevel": SetLevelRequestParams,
    "resources/subscribe": SubscribeRequestParams,
    "resources/unsubscribe": UnsubscribeRequestParams,
}


async def _agreed(ctx: ServerRequestContext[object, object], params: RequestParams) -> EmptyResult:
    del ctx, params
    return EmptyResult()


class Told(EventStore):
    """What was told on every stream, for clients that come back."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        last = int(last_event_id)
        stream, _ = self._events[last - 1]
        for number, (of, message) in enumerate(self._events[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def fixture_server(platform: Platform) -> FixtureServer:
    """The server over a platform."""
    server = create_server(platform, actor=TESTER, kind=FixtureServer)
    assert isinstance(server, FixtureServer)
    server.add_fixtures()
    return server


def app_with_sessions(server: FixtureServer) -> Starlette:
    """As `http_app`, but with sessions, in which a server may ask its client: the suite of the handshake era wants it."""
    return server.streamable_http_app(
        event_store=Told(), retry_interval=_RETRY_MILLISECONDS, transport_security=served_names()
    )
