"""Each step's own folder, and the artifacts that travel between them."""

import io
import shutil
import tarfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from engine.domain.runs import Execution
from engine.steps.base import StepFailed


class Workspaces:
    """Folders below `root`, one per claim of an execution; gone when the execution has ended.

    Not one per execution: it may be claimed anew, here or by a process beside this one, before the last claim is over.
    """

    def __init__(self, root: Path, *, artifact_bytes: int) -> None:
        self._root = root
        self._artifact_bytes = artifact_bytes

    def open(self, execution: Execution, position: int, artifacts: Iterable[bytes]) -> Path:
        """An empty folder for a step, with the artifacts of the steps before it. Raises StepFailed."""
        folder = self._root / f"{execution.id}-{execution.fence}" / str(position)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
            for archive in artifacts:
                with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                    tar.extractall(folder, filter="data")
        except tarfile.TarError as error:
            raise StepFailed(f"The artifacts of the steps before cannot be unpacked: {error}.") from error
        except OSError as error:
            raise StepFailed(
                f"The step's workspace cannot be made: {error.strerror or error}.",
                hint="Look at the free space and the permissions of the data directory, then retry.",
            ) from error
        return folder

    def collect(self, folder: Path, paths: Iterable[str]) -> bytes | None:
        """The declared artifacts as an archive. Raises StepFailed for one that is missing, outside or too large."""
        try:
            return self._archive(folder, paths)
        except OSError as error:
            raise StepFailed(f"The step's artifacts cannot be read: {error.strerror or error}.") from error

    def _archive(self, folder: Path, paths: Iterable[str]) -> bytes | None:
        wanted = list(paths)
        if not wanted:
            return None
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for path in wanted:
                source = folder / path
                if not source.exists():
                    raise StepFailed(f"The artifact `{path}` was declared but the step did not make it.")
                if not source.resolve().is_relative_to(folder.resolve()):
                    raise _leaves(path, path)
                source = source.resolve() if source.is_symlink() else source
                self._check_size(source, path)
                tar.add(source, arcname=path, filter=partial(_kept, folder=folder, path=path))
        return buffer.getvalue()

    def _check_size(self, source: Path, path: str) -> None:
        files = [source] if source.is_file() else source.rglob("*")
        size = sum(file.lstat().st_size for file in files if file.is_file())
        if size > self._artifact_bytes:
            raise StepFailed(
                f"The artifact `{path}` has {size} bytes; the limit is {self._artifact_bytes}.",
                hint="Keep large files elsewhere, or raise INNOMINATUS_ARTIFACT_BYTES.",
            )

    def close(self, execution: Execution) -> None:
        """Remove the folders of this claim and of those before it; most have none."""
        own = self._root / f"{execution.id}-{execution.fence}"
        found = self._root.glob(f"{execution.id}-*") if execution.fence > 1 else [own] if own.exists() else []
        for folder in found:
            if int(folder.name.rpartition("-")[2]) <= execution.fence:
                shutil.rmtree(folder, ignore_errors=True)


def _kept(member: tarfile.TarInfo, *, folder: Path, path: str) -> tarfile.TarInfo:
    """The member as it is, once it is sure that it can be unpacked in another workspace. Raises StepFailed."""
    try:
        tarfile.data_filter(member, str(folder))
    except tarfile.SpecialFileError:
        raise StepFailed(
            f"The artifact `{path}` holds `{member.name}`, which is neither file, folder nor link."
        ) from None
    except tarfile.FilterError:
        raise _leaves(path, member.name) from None
    return member


def _leaves(path: str, link: str) -> StepFailed:
    return StepFailed(
        f"The artifact `{path}` holds the link `{link}`, which leads out of the step's workspace or is absolute.",
        hint="Make it a relative link to something inside, or copy what it points to.",
    )
