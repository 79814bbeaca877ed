"""The data directory: made where it is missing, and the token in it."""

import os
import secrets

from engine.config import Settings
from engine.errors import Unavailable


def prepare(settings: Settings) -> None:
    """The data directory, readable by its owner only. Raises Unavailable when it cannot be written."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.data_dir / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Unavailable(
            f"The data directory `{settings.data_dir}` cannot be written: {error.strerror}.",
            code="data_dir",
            hint="Free space or change its permissions, or name another one in INNOMINATUS_DATA_DIR.",
        ) from error


def api_token(settings: Settings) -> str:
    """The bearer token: from the settings, or the file `token` in the data directory, made on first use."""
    given = settings.api_token.get_secret_value()
    if given:
        return given
    path = settings.data_dir / "token"
    known = path.read_text().strip() if path.exists() else ""
    if known:
        return known
    made = f"inn_{secrets.token_urlsafe(32)}"
    draft = path.with_name(f".token-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{made}\n")
    # Whole or not at all: a token file cut short by a full disk or a kill would let everyone out, or in.
    draft.replace(path)
    return made
