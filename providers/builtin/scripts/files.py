"""Private files: locked, written whole or not at all, readable by nobody else."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from step import Failed


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold `path` as an exclusive lock between processes; a process that dies gives it back."""
    private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> Path:
    """The folder, made with mode 0700 where it is missing. Parents are never changed."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace `path` (mode 0600) in one step: a reader sees the old or the new content."""
    private_folder(path.parent)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_text(path: Path) -> str:
    """The file's text without surrounding blanks; empty where there is no file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def remove_tree(path: Path, *, seconds: float = 10.0) -> None:
    """Remove a folder that may already be gone, waiting for a program that is still ending and writes into it.

    A symbolic link is refused: what it points to is not ours.
    """
    deadline = time.monotonic() + seconds
    while path.is_symlink() or path.exists():
        if path.is_symlink():
            raise Failed(f"`{path}` is a symbolic link; remove it by hand, nothing behind it is touched.")
        try:
            shutil.rmtree(path)
        except OSError as error:
            passing = error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if not passing or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def name_for(identity: tuple[str, str, str], *, joint: str = "_", most: int = 63) -> str:
    """A readable name that is the same on every run and differs between any two identities."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:10]
    slug = re.sub(r"[^a-z0-9]+", joint, identity[2].lower()).strip(joint)
    lead = slug[: most - len(digest) - 2].rstrip(joint)
    if not lead or not lead[0].isalpha():
        lead = f"r{lead}"
    return f"{lead}{joint}{digest}"
