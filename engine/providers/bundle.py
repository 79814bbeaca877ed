"""Bundles: a provider's files as one content-addressed archive, the same everywhere for the same files."""

import gzip
import hashlib
import io
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import Invalid, Problem, quoted
from engine.providers.nearby import paths_like

MOST_FILES = 2_000
MOST_BYTES = 32_000_000
_IGNORED = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".terraform", ".venv", "node_modules"})


@dataclass(frozen=True, slots=True)
class BundleFile:
    content: bytes
    executable: bool = False


def read_folder(path: Path) -> dict[str, BundleFile]:
    """Every file below the folder by its path with `/`. Raises Invalid: no folder, too much, a link to the outside."""
    if not path.is_dir():
        close = paths_like(path, Path.is_dir)
        fix = f"Did you mean {quoted(close)}?" if close else "Check the path."
        raise _invalid("no_folder", str(path), "There is no such folder", fix)
    root = path.resolve()
    found: dict[str, BundleFile] = {}
    size = 0
    for file in _walk(root):
        name = file.relative_to(root).as_posix()
        if not name.isprintable():
            raise _invalid("file_name", ascii(name), "The name of a file holds unprintable characters", "Rename it.")
        _safe(name)
        target = file.resolve()
        if not target.is_relative_to(root):
            raise _invalid("link_outside", name, "The link leads out of the provider's folder", "Copy the file there.")
        try:
            status = target.stat()
            if not stat.S_ISREG(status.st_mode):
                raise _invalid("no_file", name, "This is neither a file nor a folder", "Remove it.")
            size += status.st_size
            _check_size(len(found) + 1, size, str(path))
            found[name] = BundleFile(target.read_bytes(), bool(status.st_mode & stat.S_IXUSR))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _invalid("unreadable", name, f"The file cannot be read: {reason}", "Check its rights.") from error
    return found


def _walk(root: Path) -> Iterator[Path]:
    """Files in a fixed order; a link to a folder counts as one file, so that none is entered twice."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _IGNORED)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            if name not in _IGNORED and not name.endswith(".pyc"):
                yield Path(folder) / name


def contents(files: Mapping[str, BundleFile]) -> dict[str, bytes]:
    """Only what the files hold, as `provider_reader` wants it."""
    return {name: file.content for name, file in files.items()}


def digest(files: Mapping[str, BundleFile]) -> str:
    """`sha256:<hex>` over names, modes and contents."""
    whole = hashlib.sha256()
    for name, file in sorted(files.items()):
        encoded = name.encode()
        whole.update(b"%d:%s %s %d:" % (len(encoded), encoded, b"x" if file.executable else b"-", len(file.content)))
        whole.update(file.content)
    return f"sha256:{whole.hexdigest()}"


def pack(files: Mapping[str, BundleFile]) -> bytes:
    """A tar.gz that is the same for the same files: sorted, without times and owners."""
    _check_size(len(files), sum(len(file.content) for file in files.values()), "")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(_safe(name))
            entry.size, entry.mode = len(file.content), 0o755 if file.executable else 0o644
            archive.addfile(entry, io.BytesIO(file.content))
    return gzip.compress(plain.getvalue(), compresslevel=6, mtime=0)


def files_of(archive: bytes) -> dict[str, BundleFile]:
    """The files in an archive. Raises Invalid: damaged, too large, or a name that leads outside."""
    found: dict[str, BundleFile] = {}
    inner: set[str] = set()
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflated(archive)), mode="r:") as tar:
            for entry in tar:
                name = _safe(entry.name)
                if not entry.isreg() or name in found or _ancestors(name) & found.keys() or name in inner:
                    raise _invalid(
                        "archive", name, "A bundle holds ordinary files, each once", "Pack the folder again."
                    )
                inner |= _ancestors(name)
                size += entry.size
                _check_size(len(found) + 1, size, "")
                reader = tar.extractfile(entry)
                found[name] = BundleFile(reader.read() if reader else b"", bool(entry.mode & stat.S_IXUSR))
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise _invalid("archive", "", "The bundle is damaged", "Load the provider again.") from error
    return found


def unpack(archive: bytes, into: Path) -> Path:
    """The files of the archive in the folder `<into>/<digest>`, complete or not at all.

    What is there already is returned as it is; two processes may do this at the same time.
    """
    files = files_of(archive)
    target = into / digest(files).replace(":", "-")
    if target.is_dir():
        return target
    into.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=into))
    try:
        temporary.chmod(0o755)
        for name, file in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(0o555 if file.executable else 0o444)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # another process was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _inflated(archive: bytes) -> bytes:
    """The tar inside, refused before it can fill the memory."""
    most = MOST_BYTES + MOST_FILES * 3 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE
    with gzip.GzipFile(fileobj=io.BytesIO(archive)) as stream:
        plain = stream.read(most + 1)
    if len(plain) > most:
        _check_size(0, len(plain), "")
    return plain


def _ancestors(name: str) -> set[str]:
    """The folders that a file lies in."""
    return {parent.as_posix() for parent in PurePosixPath(name).parents}


def _safe(name: str) -> str:
    leaves = name in {"", ".", ".."} or name.startswith(("/", "../"))
    if leaves or "\\" in name or "\0" in name or posixpath.normpath(name) != name:
        raise _invalid("archive", name, "A name is no path below the folder", "Rename the file.")
    return name


def _check_size(count: int, size: int, path: str) -> None:
    if count > MOST_FILES or size > MOST_BYTES:
        message = f"A provider has at most {MOST_FILES:,} files and {MOST_BYTES // 1_000_000} MB"
        raise _invalid("too_large", path, message, "Move large files to where the steps can fetch them.")


def _invalid(code: str, path: str, message: str, fix: str) -> Invalid:
    return Invalid(f"The bundle is not valid: {message}.", [Problem(code, "", message, fix, file=path)], code=code)
