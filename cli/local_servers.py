"""`innominatus local`: the database servers that the provider local-team runs for a data directory."""

import json
import subprocess
import sys
from pathlib import Path

from cli.text import as_object
from engine.domain.values import Json, JsonObject
from engine.errors import Internal, NotFound
from engine.providers.loading import default_folders

_PROVIDER = "local-team"


def run(command: str, data_dir: Path) -> JsonObject:
    """`status`, `stop`, or `purge`: stop and remove their data, outside the data directory too. Raises Internal."""
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
