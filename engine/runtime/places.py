"""Which place an engine works in, and that it leaves alone what lives in another one."""

import fcntl
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from engine.domain.place import Place
from engine.domain.provider import Operation
from engine.domain.resource import Resource
from engine.errors import Conflict, Unavailable

_MARKER = ".place"
_DONE = {
    Operation.CREATE: "completed",
    Operation.READ: "checked",
    Operation.UPDATE: "changed",
    Operation.DELETE: "deleted",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a data directory: step workspaces, and what providers keep."""

    home: Path

    @property
    def workspaces(self) -> Path:
        return self.home / "workspaces"

    @property
    def provider_data(self) -> Path:
        return self.home / "providers"

    def here(self) -> Place:
        """The place that this data directory is. Its id is made on first use and moves with what providers keep."""
        try:
            return Place(_identity(self.provider_data / _MARKER), socket.gethostname(), str(self.home.absolute()))
        except OSError as error:
            raise Unavailable(
                f"`{self.provider_data}` cannot be written: {error.strerror or error}.",
                code="data_dir",
                hint="Free space or change its permissions, or name another data directory in INNOMINATUS_DATA_DIR.",
            ) from error


def _identity(marker: Path) -> str:
    """The id in the marker; processes that start at once on one data directory agree on it."""
    marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(marker, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = file.read().split()
        if known:
            return known[0]
        made = secrets.token_hex(16)
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
        return made


def check_at_home(resource: Resource, operation: Operation, here: Place, *, begun: bool) -> None:
    """Raise Conflict when a run is to work on what lives in another place.

    Creating makes anew and is fine anywhere, unless it has `begun`: half of it would stand there, half here.
    """
    home = resource.place
    if home is None or home.is_same(here) or (operation is Operation.CREATE and not begun):
        return
    if (home.host, home.folder) == (here.host, here.folder):
        lives = f"in an earlier data directory `{home.folder}`, which has been replaced since"
        remedy = "Put the earlier one back"
    else:
        lives = f"in the data directory `{home.folder}` on `{home.host}`"
        remedy = f"Let engines with INNOMINATUS_DATA_DIR={home.folder} on `{home.host}` run, and no others"
    settle = f", then `innominatus-ctl resource retry {resource.id}`. If it is gone for good: "
    settle += f"`innominatus-ctl resource resolve {resource.id} --as gone`"
    raise Conflict(
        f"`{resource.key}` lives {lives}. It cannot be {_DONE[operation]} from here, "
        f"the data directory `{here.folder}` on `{here.host}`.",
        code="lives_elsewhere",
        hint=f"{remedy}{'' if operation is Operation.READ else settle}.",
    )
