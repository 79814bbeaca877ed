"""`innominatus mcp`: MCP over stdio, as the engine itself or as the way to a platform that runs already."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import IO, TYPE_CHECKING

from cli import data_dir, garbage, live, logs
from cli.exits import TERMINATED, exit_code, tell
from cli.session import note
from engine.config import Settings
from engine.errors import Conflict, InnominatusError

if TYPE_CHECKING:
    from cli.compose import Running

_BOOT_SECONDS = 10.0


def run(settings: Settings, *, server: str | None, token: str | None) -> None:
    """Serve one client over stdio until it leaves. stdout carries nothing but the protocol."""
    logs.configure(form=settings.log_format, level=_at_least_warning(settings.log_level))
    _tell_a_person()
    if server:
        _forward(server, token or settings.api_token.get_secret_value(), settings)
        return
    data_dir.prepare(settings)
    lock = live.take_lock(settings.data_dir) if settings.embedded else None
    if settings.embedded and lock is None:
        found = _live(settings)
        _forward(found.url, data_dir.api_token(settings), settings)
        return
    _be_the_engine(settings, lock)


def _tell_a_person() -> None:
    """Whoever types the command sees nothing otherwise, and would take it for stuck."""
    if sys.stdin is not None and sys.stdin.isatty():
        note(
            "This speaks MCP with a client on stdin and stdout; Ctrl-C ends it. "
            "`innominatus mcp config` prints what a client's configuration needs."
        )


def _at_least_warning(level: str) -> str:
    return "WARNING" if level.upper() in {"INFO", "NOTSET"} else level


def _forward(url: str, token: str, settings: Settings) -> None:
    from mcp_server.forward import run_forwarder
    from mcp_server.toolsets import selection_of

    gc.enable()
    # The thread that reads stdin cannot be woken, and there is nothing to put in order: Ctrl-C ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    base = url if "://" in url else f"http://{url}"
    run_forwarder(f"{base.rstrip('/')}/mcp", token, selection_of(settings))


def _live(settings: Settings) -> live.Live:
    """The process that holds the data directory; one that has only just started gets time to open its doors."""
    deadline = time.monotonic() + _BOOT_SECONDS
    while (found := live.find(settings.data_dir)) is None:
        if time.monotonic() > deadline:
            raise Conflict(
                f"Another engine holds the data directory `{settings.data_dir}` and does not say where it listens.",
                code="data_dir_taken",
                hint="Stop it, or set another INNOMINATUS_DATA_DIR.",
            )
        time.sleep(0.05)
    return found


def _be_the_engine(settings: Settings, lock: IO[str] | None) -> None:
    from cli.behind import Behind
    from engine.domain.values import Actor, ActorKind
    from mcp_server.server import create_server
    from mcp_server.stdio import run_stdio
    from mcp_server.toolsets import selection_of

    behind = Behind(lambda: _start(settings, lock), lambda running: _open_doors(running, settings), failed=_give_up)

    def leave() -> None:
        running = behind.close()
        if running is not None:
            running.close(grace=settings.grace_seconds)
            _tell_what_goes_on(settings)

    def told(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        leave()
        # The thread that reads stdin cannot be woken, so the interpreter would wait for it.
        os._exit(TERMINATED)

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    agent = Actor(ActorKind.AGENT, "mcp")
    offered = selection_of(settings)
    server = create_server(lambda: behind.there().platform, actor=agent, selection=offered, listed=behind.soon)
    try:
        run_stdio(server)
    finally:
        leave()


def _start(settings: Settings, lock: IO[str] | None) -> "Running":
    from cli import compose

    return compose.start(settings, lock=lock)


def _open_doors(running: "Running", settings: Settings) -> Callable[[], None]:
    """REST and MCP over HTTP for others on this machine; from then on nothing more is imported."""
    try:
        from cli.serving import background

        return background(running, settings)
    finally:
        garbage.settle()


def _tell_what_goes_on(settings: Settings) -> None:
    """As `innominatus serve` does; a client that has gone may have closed stderr, too."""
    from cli import local_servers

    if settings.embedded:
        with suppress(OSError):
            local_servers.tell_what_goes_on(settings.data_dir)


def _give_up(error: InnominatusError) -> None:
    """The thread that reads stdin cannot be woken: end the process from here."""
    tell(error)
    os._exit(exit_code(error))
