"""`innominatus serve`: the engine with REST and MCP on one port, until it is told to stop."""

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from cli import compose, data_dir, garbage, live, local_servers, logs, web
from cli.exits import TERMINATED
from cli.protocol import BoundedHttp
from cli.session import note, say
from engine.config import Settings
from engine.errors import Conflict, Denied, InnominatusError, Invalid, Unavailable

_GRACEFUL_SECONDS = 3
_LARGEST_MESSAGE = 65_536
"""Of what clients send over a WebSocket: a token at most."""


def serve(settings: Settings, *, show_token: bool) -> None:
    """Serve until SIGTERM or SIGINT; running steps then get their grace time. A second signal ends at once."""
    check_reach(settings)
    logs.configure(form=settings.log_format, level=settings.log_level)
    data_dir.prepare(settings)
    lock = compose.hold(settings)  # before the port: whoever has both is told what it is, not to choose another port
    try:
        listener = listen(settings)
    except InnominatusError:
        lock.close()
        raise
    running = compose.start(settings, lock=lock)
    token = data_dir.api_token(settings)
    url = address(listener, settings.host)
    stop = _Stop()

    before: live.Live | None = None

    def ready() -> None:
        nonlocal before
        garbage.settle()
        before = live.announce(settings.data_dir, url)
        _greet(settings, url, token if show_token else "")

    try:
        server = Doors(web.doors(running, token=token), ready=ready)
        server.run(sockets=[listener])
        if not server.started:
            raise Unavailable("The doors could not be opened; the log says why.", code="start_failed")
    finally:
        live.withdraw(settings.data_dir, before=before)
        stop.arm()
        running.close(grace=settings.grace_seconds)
    if settings.embedded:
        local_servers.tell_what_goes_on(settings.data_dir)


class Doors(uvicorn.Server):
    """uvicorn that says when it accepts requests."""

    def __init__(self, app: web.App, *, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="on",
                http=BoundedHttp,
                ws=_websocket,  # pyright: ignore[reportArgumentType] - it is called as a class would be
                ws_max_size=_LARGEST_MESSAGE,
                ws_per_message_deflate=False,  # compression costs each connection more memory than all else
                server_header=False,
                timeout_graceful_shutdown=_GRACEFUL_SECONDS,
            )
        )
        self._ready = ready
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        web.close_streams(self._app)  # they would go on for as long as their clients like
        await super().shutdown(sockets)


def _websocket(*args: Any, **options: Any) -> asyncio.Protocol:
    """The protocol of one WebSocket. Its library is imported with the first one: many servers never see any."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(*args, **options)


class _Stop:
    """What a signal does: the first asks for the end (uvicorn hands it on once it has stopped), a second one kills."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)

    def arm(self) -> None:
        """The doors are closed; from now on a signal means: at once."""
        self._closing.set()

    def _told(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._closing.is_set():
            note("Stopped at once; what was running goes on at the next start.")
            os._exit(TERMINATED)


def check_reach(settings: Settings) -> None:
    """Refuse to listen beyond this machine without a token that somebody chose."""
    if not _loopback(settings.host) and not settings.api_token.get_secret_value():
        raise Denied(
            f"`{settings.host}` is reachable from other machines, and no token is set.",
            code="token_required",
            hint="Set INNOMINATUS_API_TOKEN to a long random text, or listen on 127.0.0.1.",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises Conflict when the port is taken, Invalid for an address that is none."""
    place = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise Invalid(f"`{settings.host}` is not an address to listen on.", code="invalid_host") from error
    listener = socket.socket(found[0], found[1], found[2])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(found[4])
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise Conflict(
            f"`{place}` cannot be listened on: {error.strerror}.",
            code="port_taken",
            hint="Choose another one with --port (0 picks a free one), or stop what listens there.",
        ) from error
    return listener


def address(listener: socket.socket, host: str) -> str:
    """Where the socket is reached from this machine."""
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _greet(settings: Settings, url: str, token: str) -> None:
    given = bool(settings.api_token.get_secret_value())
    where = "INNOMINATUS_API_TOKEN" if given else str(settings.data_dir / "token")
    say(f"innominatus serves {url}")
    say(f"  REST   {url}/docs")
    say(f"  MCP    {url}/mcp")
    say(f"  token  {token or f'in {where}'}")
    say(f"  data   {settings.data_dir}")
    say("  stop   Ctrl-C")
    import sys

    sys.stdout.flush()


def background(running: compose.Running, settings: Settings) -> Callable[[], None]:
    """Open the doors on a free loopback port beside another job; the answer closes them. Failing is not fatal."""
    listener = listen(settings.model_copy(update={"host": "127.0.0.1", "port": 0}))
    url = address(listener, "127.0.0.1")
    try:
        app = web.doors(running, token=data_dir.api_token(settings))
    except InnominatusError:
        listener.close()
        raise
    before: live.Live | None = None

    def ready() -> None:
        nonlocal before
        before = live.announce(settings.data_dir, url)

    server = Doors(app, ready=ready)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="doors", daemon=True)
    thread.start()

    def close() -> None:
        live.withdraw(settings.data_dir, before=before)
        server.should_exit = True
        thread.join(_GRACEFUL_SECONDS + 1)

    return close
