"""Signs of life of workers: a file per process that is touched while its engine does its work, for health checks."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import Unavailable

SECONDS = 1.0
"""Between two signs of life."""
_PATIENCE = 15.0
_FOLDER = "workers"


@contextmanager
def kept(data_dir: Path) -> Generator[Callable[[], None]]:
    """The answer gives a sign of life of this process. Its file is locked for as long as the process lives."""
    folder = data_dir / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        _remove_dead(left)
    path = folder / f"{socket.gethostname()}.{os.getpid()}"
    descriptor = _make(path)

    def beat() -> None:
        with contextlib.suppress(OSError):  # what cannot be written is missed by who looks for it
            os.utime(descriptor)

    try:
        yield beat
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def check(data_dir: Path, *, processes: int) -> str:
    """Say that `processes` workers of this machine (or container) are at work. Raises Unavailable when fewer are."""
    files = (data_dir / _FOLDER).glob(f"{socket.gethostname()}.[0-9]*")
    ages = [age for path in files if (age := _age(path)) is not None]
    working = sum(age <= _PATIENCE for age in ages)
    if working >= processes:
        return f"{working} of {processes} at work"
    silent = f"; another one has given no sign of life for {max(ages):.0f} s" if working < len(ages) else ""
    raise Unavailable(
        f"{working} of {processes} worker processes are at work{silent}.",
        code="worker_silent",
        hint="Its log says why. A worker gives a sign of life every second while its engine does its work.",
    )


def _make(path: Path) -> int:
    """The file, locked; made again when another process took it for a dead one's before it was locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def _age(path: Path) -> float | None:
    """Seconds since the sign of life in `path`; None when its process has ended."""
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return time.time() - os.fstat(file.fileno()).st_mtime
    return None


def _remove_dead(path: Path) -> None:
    """Remove the file of a process that was killed. It is locked meanwhile: see `_make`."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
