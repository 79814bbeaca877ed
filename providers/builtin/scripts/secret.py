"""The resource type `secret`: random text that stays the same until it is deleted or another length is asked for."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import step
from files import locked, name_for, read_text, write_private
from step import Object

LENGTH = 32


def create(given: Object) -> Mapping[str, object]:
    """The value in the file, made when there is none of this length; on disk before anyone hears of it."""
    length = int(given.get("length") or LENGTH)
    file = place(given)
    with locked(file.with_suffix(".lock")):
        value = read_text(file)
        if len(value) != length:
            value = secrets.token_urlsafe(length)[:length]
            write_private(file, value)
    return {"value": value}


def delete(given: Object) -> Mapping[str, object]:
    file = place(given)
    with locked(file.with_suffix(".lock")):
        file.unlink(missing_ok=True)
    return {}


def place(given: Object) -> Path:
    return step.provider_data() / "secrets" / name_for(step.resource_identity(given), joint="-")


if __name__ == "__main__":
    step.run({"create": create, "delete": delete})
