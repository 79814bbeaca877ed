"""The MCPB bundle for Claude Desktop: this project's code with a manifest, checked and packed by the official tool.

Run by `make mcpb`. uv, which the app brings along, makes the environment from `uv.lock` on the user's machine.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from engine.domain.values import Actor, ActorKind
from engine.services.platform import Platform
from mcp_server.server import create_server

ROOT: Final = Path(__file__).parents[1]
TOOL: Final = "@anthropic-ai/mcpb@2.1.2"
_BESIDE: Final = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def manifest() -> dict[str, Any]:
    """What stands beside this file, with the version and tools of the code."""
    written = json.loads(Path(__file__).with_name("manifest.json").read_text())
    server = create_server(cast("Platform", None), actor=Actor(ActorKind.SYSTEM, "bundle"))
    tools = asyncio.run(server.list_tools())
    offered = [{"name": tool.name, "description": tool.description} for tool in tools]
    return {**written, "version": _project()["project"]["version"], "tools": offered}


def stage(into: Path) -> None:
    """Everything that goes into the bundle, in an empty folder."""
    for package in _project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(ROOT / package, into / package, ignore=_LEFT_OUT)
    for name in _BESIDE:
        shutil.copy2(ROOT / name, into / name)
    (into / "manifest.json").write_text(json.dumps(manifest(), indent=2) + "\n")


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def main() -> None:
    npx = shutil.which("npx")
    if npx is None:
        _leave("`npx` is missing: install Node.js 22 or newer, which brings it.")
    folder = ROOT / "dist" / "mcpb"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage(folder)
    target = ROOT / "dist" / f"innominatus-{_project()['project']['version']}.mcpb"
    for words in (["validate", str(folder / "manifest.json")], ["pack", str(folder), str(target)]):
        done = subprocess.run([npx, "--yes", TOOL, *words], check=False)  # noqa: S603 - the official tool, by its version
        if done.returncode:
            _leave(f"`mcpb {words[0]}` refused the bundle; its words stand above.")
    sys.stdout.write(f"{target.relative_to(ROOT)}: open it with Claude Desktop.\n")


def _leave(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
