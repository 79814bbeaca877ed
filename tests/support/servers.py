"""The servers that `local-team` runs, started for tests through its own command."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

SCRIPTS = Path(__file__).parents[2] / "providers" / "local-team" / "scripts"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server and its administrator."""

    host: str
    port: int
    user: str
    password: str
    pid: int


def start(kind: str, data: Path, *, quick: bool = True) -> RunningServer:
    """Start `postgres` or `valkey` for the provider folder `data`, or find it running. `quick`: commits do not last."""
    answer = command(f"{kind}-start", data, quick=quick)
    return RunningServer(answer["host"], answer["port"], answer["user"], answer["password"], answer["pid"])


def purge(data: Path) -> None:
    """Stop every server of `data` and remove what it stored, wherever that is."""
    command("purge", data)


def command(name: str, data: Path, *, quick: bool = True) -> dict[str, Any]:
    """The answer of one `servers.py` command; its message when it fails."""
    argv = [sys.executable, str(SCRIPTS / "servers.py"), name, "--data", str(data), *(["--quick"] if quick else [])]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"servers.py {name}: {done.stderr}")
    return cast("dict[str, Any]", json.loads(done.stdout))
