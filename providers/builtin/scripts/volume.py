"""The resource type `volume`: a folder below the provider's data."""

from collections.abc import Mapping
from pathlib import Path

import step
from files import name_for, private_folder, remove_tree
from step import Failed, Object


def create(given: Object) -> Mapping[str, object]:
    folder = place(given)
    if folder.is_symlink():
        raise Failed(f"`{folder}` is a symbolic link; remove it by hand, a volume is never made behind one.")
    return {"source": str(private_folder(folder))}


def read(given: Object) -> Mapping[str, object]:
    folder = place(given)
    if folder.is_symlink() or not folder.is_dir():
        raise Failed(f"The folder `{folder}` is gone. Deploy the application again to make a new, empty one.")
    return {"source": str(folder)}


def delete(given: Object) -> Mapping[str, object]:
    remove_tree(place(given))
    return {}


def place(given: Object) -> Path:
    """Always made of the resource's identity, never of what somebody sends."""
    return step.provider_data() / "volumes" / name_for(step.resource_identity(given), joint="-")


if __name__ == "__main__":
    step.run({"create": create, "read": read, "delete": delete})
