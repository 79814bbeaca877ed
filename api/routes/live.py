"""What happens, told as it happens over WebSockets: the log of an execution, the graph of an application."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from api.inputs import ANYWHERE, storable
from api.live import Live
from api.sockets import HEARTBEAT_SECONDS, Presence, admit, tell
from engine.domain.graph import to_json
from engine.domain.values import ExecutionId, JsonObject
from engine.errors import Invalid, Problem
from engine.services import graphs, timeline
from engine.services.following import ExecutionFollower
from engine.services.platform import Platform
from engine.store.hints import of_execution

_BREATH_SECONDS: Final = 0.05
"""Between two messages about the same, so that what happens at once is told at once."""
_PING: JsonObject = {"type": "ping"}
_LARGEST_ID = 2**63 - 1


async def follow_logs(socket: WebSocket) -> None:
    """The log of an execution so far, then line by line with every change of its steps, until it has ended."""
    await tell(socket, _logs(socket))


async def _logs(socket: WebSocket) -> AsyncGenerator[JsonObject]:
    await admit(socket)
    _check_query(socket)
    platform, live = _of_app(socket)
    execution_id = ExecutionId(min(int(socket.path_params["execution_id"]), _LARGEST_ID))
    follower = ExecutionFollower(platform, execution_id)
    with live.bells.on(of_execution(execution_id)) as bell:
        async with Presence(socket, bell.ring) as presence:
            silent_since = _now()
            while not presence.gone:
                news = await live.tail.aside(follower.look)
                for message in news:
                    yield message
                if follower.ended:
                    return
                if news:
                    silent_since = _now()
                elif _now() - silent_since >= HEARTBEAT_SECONDS:
                    silent_since = _now()
                    yield _PING
                await bell.wait(HEARTBEAT_SECONDS)
                await asyncio.sleep(_BREATH_SECONDS)


async def follow_graph(socket: WebSocket) -> None:
    """The graph of an application, and again whenever something has changed in it."""
    await tell(socket, _graphs(socket))


async def _graphs(socket: WebSocket) -> AsyncGenerator[JsonObject]:
    await admit(socket)
    _check_query(socket, "environment")
    platform, live = _of_app(socket)
    app, environment = _text(socket, "app"), _text(socket, "environment") or ANYWHERE
    wanted = await live.tail.aside(timeline.wanted_of, platform, application=app, environment=environment)
    shown: JsonObject = {}
    async with live.tail.follow(wanted) as follower, Presence(socket, follower.let_go) as presence:
        while not presence.gone:
            view = await live.tail.aside(graphs.of_application, platform, app, environment=environment)
            graph = to_json(view.graph, view.states)
            if graph != shown:
                shown = graph
                yield {"type": "graph", "graph": graph}
            while not presence.gone and not await follower.next(HEARTBEAT_SECONDS):
                live.tail.check_open()
                yield _PING
            await asyncio.sleep(_BREATH_SECONDS)


def _of_app(socket: WebSocket) -> tuple[Platform, Live]:
    return socket.app.state.platform, socket.app.state.live


def _text(socket: WebSocket, name: str) -> str:
    """A part of the address. Raises Invalid for what no database keeps."""
    value = socket.path_params.get(name, socket.query_params.get(name, ""))
    try:
        return storable(value)
    except ValueError as error:
        raise Invalid("The request has 1 problem.", [Problem("unusable_text", name, str(error))]) from None


def _check_query(socket: WebSocket, *known: str) -> None:
    problems = [
        Problem("unknown_parameter", f"query.{name[:80]}", "this route has no such parameter")
        for name in socket.query_params
        if name not in known
    ]
    if problems:
        raise Invalid("The request has unknown parameters.", problems, code="invalid_request")


def _now() -> float:
    return asyncio.get_running_loop().time()


ROUTES = (
    WebSocketRoute("/ws/workflows/{execution_id:int}/logs", follow_logs),
    WebSocketRoute("/api/graph/{app}/ws", follow_graph),
)
