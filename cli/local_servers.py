"""`innominatus local`: the database servers that the provider local-team runs for a data directory."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cli import live
from cli.session import note
from cli.text import as_number, as_object
from engine.domain.values import Json, JsonObject
from engine.errors import InnominatusError, Internal, NotFound
from engine.providers.loading import default_folders

_PROVIDER = "local-team"


def purge(data_dir: Path, *, agree: Callable[[JsonObject], None] = lambda _: None) -> JsonObject:
    """Stop the servers and remove their data for good, outside the data directory too; the answer is what there was.

    `agree` is shown it first, and raises to keep it. Raises Conflict while a platform is at work on the data directory.
    """
    found = run("status", data_dir)
    if found:
        with live.alone(data_dir):
            agree(found)
            run("purge", data_dir)
    return found


def at_work(data_dir: Path) -> dict[str, int]:
    """The port of each server that runs; nothing where that cannot be said."""
    try:
        found = {name: as_object(server) for name, server in run("status", data_dir).items()}
    except (InnominatusError, OSError, ValueError):
        return {}
    return {name: as_number(server.get("port")) for name, server in found.items() if server.get("pid")}


def tell_what_goes_on(data_dir: Path) -> None:
    """The servers outlive the platform, since applications use them: say so on stderr, and the way out."""
    found = at_work(data_dir)
    if found:
        named = ", ".join(f"{name} (port {port})" for name, port in found.items())
        note(f"The local database servers go on: {named}.")
        note(f"Stop them, and keep their data: innominatus local stop --data-dir {shlex.quote(str(data_dir))}")


def run(command: str, data_dir: Path) -> JsonObject:
    """`status`, `stop` or `purge`, as the provider does it. Raises Internal."""
    data = data_dir / "providers" / _PROVIDER
    if not data.is_dir():
        return {}
    done = subprocess.run(  # noqa: S603 - our own script, our own interpreter
        [sys.executable, str(_script()), command, "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Internal(done.stderr.strip() or f"`{command}` ended with {done.returncode}.", code="local_servers")
    answer: Json = json.loads(done.stdout)
    return as_object(answer)


def _script() -> Path:
    for folder in default_folders():
        if folder.name == _PROVIDER:
            return folder / "scripts" / "servers.py"
    raise NotFound("provider", _PROVIDER)
