"""What a path that leads nowhere may have been meant for."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from engine.errors import nearest

_MOST_ENTRIES = 2_000
_MOST_NAMED = 2


def paths_like(path: Path, wanted: Callable[[Path], bool] = Path.exists) -> list[str]:
    """The paths that are there, are `wanted` and look most like this one, written as it is; possibly none."""
    there = path.parent.is_dir()
    folders = [path.parent] if there else [Path(found) for found in paths_like(path.parent, Path.is_dir)]
    found = [folder / name for folder in folders for name in nearest(path.name, _names(folder, wanted))]
    exact = [one for one in found if one.name == path.name]
    return [str(one) for one in (exact or found)[:_MOST_NAMED]]


def _names(folder: Path, wanted: Callable[[Path], bool]) -> list[str]:
    try:
        return [entry.name for entry in islice(folder.iterdir(), _MOST_ENTRIES) if wanted(entry)]
    except OSError:
        return []
