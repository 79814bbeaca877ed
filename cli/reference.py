"""`python -m cli.reference`: writes docs/reference from the code. `--check` only says what is stale, with exit 1."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import cast

from typer.core import TyperGroup
from typer.main import get_command

from api.routes import live
from cli import compose, ctl, reference_doors, reference_house, server, web
from cli.exits import EXIT_CODES, INTERRUPTED, TERMINATED
from cli.reference_schema import as_schema
from engine.config import Settings
from engine.domain.values import Actor, ActorKind
from engine.steps.registry import EXECUTORS
from mcp_server.instructions import instructions
from mcp_server.server import create_server
from mcp_server.toolsets import Selection, Toolset

CHECKOUT = Path(__file__).parent.parent
FOLDER = CHECKOUT / "docs" / "reference"
_EXAMPLES = CHECKOUT / "examples" / "workflows"
_ENDS = {
    "done": 0,
    "the platform failed, or what was waited for ended as failed": 1,
    "invalid input or wrong usage": 2,
    "there is no such thing": 3,
    "what exists is in the way": 4,
    "no platform is reached, or it lacks something": 5,
    "denied: no token, or a wrong one": 6,
    "interrupted": INTERRUPTED,
    "`innominatus serve`, told twice to stop: ended at once": TERMINATED,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    checking = bool(parser.parse_args().check)
    stale = {name: text for name, text in pages().items() if not _is(FOLDER / name, text)}
    for name, text in stale.items():
        if not checking:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'stale' if checking else 'written'}: docs/reference/{name}\n")
    sys.exit(1 if checking and stale else 0)


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


def pages() -> dict[str, str]:
    """Every page by its file's name. A platform with the shipped providers is opened in a folder of its own."""
    assert {*EXIT_CODES.values()} < {*_ENDS.values()}
    with tempfile.TemporaryDirectory() as folder:
        running = compose.start(Settings(data_dir=Path(folder), database_url="", providers=""), run_engine=False)
        try:
            openapi = as_schema(web.doors(running, token="shown-to-nobody").openapi())  # noqa: S106 - nothing listens
            every = Selection(frozenset(Toolset))
            tools = asyncio.run(
                create_server(running.platform, actor=Actor(ActorKind.SYSTEM, "docs"), selection=every).list_tools()
            )
            registry = running.platform.providers.registry
        finally:
            running.close()
    programs = {"innominatus": server.app, "innominatus-ctl": ctl.app}
    commands = {name: cast("TyperGroup", get_command(app)) for name, app in programs.items()}
    return {
        "settings.md": reference_house.settings(),
        "cli.md": reference_doors.command_lines(commands, _ENDS),
        "rest.md": reference_doors.rest(openapi, live.ROUTES),
        "mcp.md": reference_doors.mcp(tools, instructions(Selection())),
        "step-types.md": reference_house.step_types(EXECUTORS, _EXAMPLES),
        "providers.md": reference_house.providers(registry.providers),
    }


if __name__ == "__main__":
    main()
