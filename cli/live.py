"""How processes on this machine share a data directory: its lock, and `serve.json`, which says where one listens."""

import fcntl
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.errors import Conflict

_FILE = "serve.json"


@dataclass(frozen=True, slots=True)
class Live:
    """A process with open doors: its number and the address of its REST and MCP."""

    pid: int
    url: str


def take_lock(data_dir: Path, *, shared: bool = False) -> IO[str] | None:
    """Hold the data directory until the answer is closed; None when others do.

    An embedded engine holds it alone; engines on PostgreSQL share it.
    """
    file = (data_dir / "engine.lock").open("a")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def alone(data_dir: Path) -> Generator[None]:
    """Nobody is at work on the data directory, or begins to. Raises Conflict when a platform is."""
    lock = take_lock(data_dir)
    if lock is None:
        raise Conflict(
            f"A platform is at work on the data directory `{data_dir}`.", code="data_dir_taken", hint="Stop it first."
        )
    with lock:
        yield


def announce(data_dir: Path, url: str) -> Live | None:
    """Write where this process listens; the answer is another live one whose place it takes, for `withdraw`."""
    before = find(data_dir)
    _write(data_dir, Live(os.getpid(), url))
    return before


def _write(data_dir: Path, live: Live) -> None:
    """Readable by the owner only, whole or not at all."""
    draft = data_dir / f".{_FILE}-{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"pid": live.pid, "url": live.url}, file)
    draft.replace(data_dir / _FILE)


def withdraw(data_dir: Path, *, before: Live | None = None) -> None:
    """Remove what this process announced; what another one wrote since then stays.

    Who was there `before` and still listens is announced again: several serve one PostgreSQL.
    """
    found = _read(data_dir)
    if found is None or found.pid != os.getpid():
        return
    if before is not None and before.pid != os.getpid() and _alive(before.pid):
        _write(data_dir, before)
    else:
        (data_dir / _FILE).unlink(missing_ok=True)


def find(data_dir: Path) -> Live | None:
    """The live process of a data directory; None when there is none, or only what a killed one left behind."""
    found = _read(data_dir)
    return found if found is not None and _alive(found.pid) else None


def _read(data_dir: Path) -> Live | None:
    try:
        written = json.loads((data_dir / _FILE).read_text())
        return Live(int(written["pid"]), str(written["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
