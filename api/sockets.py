"""WebSockets: who may open one, and how something is told over it until it ends or the other side is gone."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Final, Self

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api import errors
from engine.domain.values import Actor, JsonObject
from engine.errors import Denied, InnominatusError, Unavailable
from engine.store.types import dump_json

PROTOCOL: Final = "innominatus"
"""What a browser names beside `bearer.TOKEN`: a server must choose one, and the token is not to be sent back."""
HEARTBEAT_SECONDS: Final = 15.0
_TOKEN_SECONDS = 10.0
_NORMAL, _GOING_AWAY, _REFUSED = 1000, 1001, 1008


async def admit(socket: WebSocket) -> Actor:
    """Accept the socket; without a token in its head the first message must be `{"token": "..."}`. Raises Denied."""
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    actor: Actor | None = socket.scope["state"].get("actor")
    if actor is not None:
        return actor
    authenticate: Callable[[str], Actor | None] = socket.scope["state"]["authenticate"]
    token = ""
    with suppress(TimeoutError, ValueError, KeyError, TypeError, AttributeError):
        async with asyncio.timeout(_TOKEN_SECONDS):
            token = str(json.loads(await socket.receive_text())["token"])
    actor = authenticate(token) if token else None
    if actor is None:
        raise Denied(
            "The token is not known." if token else "This needs a token.",
            code="unauthenticated",
            hint='Send `Authorization: Bearer TOKEN`, or {"token": "TOKEN"} as the first message.',
        )
    return actor


async def tell(socket: WebSocket, news: AsyncGenerator[JsonObject]) -> None:
    """Send all of `news`, then close. An error is told as a message `error` with the members of a problem document."""
    try:
        async with aclosing(news):
            async for message in news:
                await socket.send_text(dump_json(message))
        await socket.close(_NORMAL)
    except WebSocketDisconnect:
        pass
    except InnominatusError as error:
        await _refuse(socket, error)


async def _refuse(socket: WebSocket, error: InnominatusError) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(dump_json({**errors.document(error), "type": "error"}))
        await socket.close(_GOING_AWAY if isinstance(error, Unavailable) else _REFUSED)


class Presence:
    """Whether the other side is still there. What it sends is not read by anybody."""

    def __init__(self, socket: WebSocket, ring: Callable[[], None]) -> None:
        self._socket = socket
        self._watch = asyncio.create_task(self._read())
        self._watch.add_done_callback(lambda _: ring())

    @property
    def gone(self) -> bool:
        return self._watch.done()

    async def _read(self) -> None:
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
