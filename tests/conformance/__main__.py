"""Our MCP door, and the same door with fixtures, put to the official conformance suites. Run by `make conformance`."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import structlog
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.types import ASGIApp, Receive, Scope, Send

from cli import compose
from cli.web import doors
from engine.config import Settings
from mcp_server.http import http_app
from tests.conformance.fixture_server import app_with_sessions, fixture_server
from tests.conformance.suites import NoNpx, Suite, program, run
from tests.support.apps import serving

RELEASED: Final = "0.1.16"
COMING: Final = "0.2.0-alpha.12"
_TOKEN: Final = "inn_conformance"
_PROVIDER = Path(__file__).parents[1] / "support" / "providers" / "mcp-team"
_WITHOUT_FIXTURES = (
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "completion-complete",
    "dns-rebinding-protection",
)
_WITHOUT_FIXTURES_2026 = (
    "tools-list",
    "resources-list",
    "prompts-list",
    "completion-complete",
    "dns-rebinding-protection",
    "server-sse-multiple-streams",
    "sep-2164-resource-not-found",
    "caching",
    "input-required-result-unsupported-methods",
    "http-header-validation",
)


class Known:
    """Brings the token, which the suites cannot."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {_TOKEN}".encode())]}
        await self._app(scope, receive, send)


@contextmanager
def suites(folder: Path) -> Generator[list[Suite]]:
    """Everything there is to run, while it is served."""
    running = compose.start(Settings(data_dir=folder, providers=str(_PROVIDER), threads=2, health_seconds=0))
    try:
        with ExitStack() as served:
            ours = served.enter_context(serving(Known(doors(running, token=_TOKEN))))
            fixtures = served.enter_context(serving(http_app(fixture_server(running.platform))))
            sessions = served.enter_context(serving(app_with_sessions(fixture_server(running.platform))))
            alone = [("--scenario", name) for name in _WITHOUT_FIXTURES]
            modern = [("--scenario", name, "--spec-version", "2026-07-28") for name in _WITHOUT_FIXTURES_2026]
            yield [
                Suite("ours", RELEASED, ours, alone),
                Suite("ours, 2026-07-28", COMING, ours, modern),
                Suite("fixtures, sessions, all", RELEASED, sessions, [("--suite", "all")]),
                Suite("fixtures, sessions, 2025-11-25", COMING, sessions, [("--requirements", "2025-11-25")]),
                Suite(
                    "fixtures, 2026-07-28 less tasks", COMING, fixtures, [("--requirements", "2026-07-28")], "tasks-"
                ),
            ]
    finally:
        running.close(grace=0)


def main() -> int:
    """0 when every scenario that counts passed."""
    try:
        for version in (RELEASED, COMING):
            program(version)
    except NoNpx as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _hush()
    for name in [name for name in os.environ if name.startswith("INNOMINATUS_")]:
        del os.environ[name]
    well = True
    with tempfile.TemporaryDirectory() as folder, suites(Path(folder) / "data") as every:
        sys.stdout.write(_row("what", "suite", "scenarios", "passed", "failed", "warned"))
        for number, suite in enumerate(every):
            found = run(suite, Path(folder) / str(number))
            numbers = (found.counts["SUCCESS"], len(found.failures), found.counts["WARNING"])
            sys.stdout.write(_row(suite.title, suite.version, found.scenarios, *numbers))
            sys.stdout.write("".join(f"  {failure}\n" for failure in found.failures))
            sys.stdout.write(f"{found.last_words}\n" if found.last_words else "")
            sys.stdout.flush()
            well = well and found.well
    return 0 if well else 1


def _row(what: str, version: str, *numbers: object) -> str:
    return f"{what:32} {version:15}" + "".join(f" {number:>9}" for number in numbers) + "\n"


def _hush() -> None:
    """The suites provoke what a server logs, and only their words count here."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    sys.exit(main())
