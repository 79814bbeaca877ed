"""`make compose-env`: writes the file `.env` that docker-compose.yml reads, with passwords and keys made on the spot.

It never changes a file that is there, and nobody but its owner can read what it writes.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

_TEXT = """\
# Made by `make compose-env` for docker-compose.yml.
# Keep it: without INNOMINATUS_SECRET_KEY the stored secrets are lost.
# Values with $, # or blanks belong in 'single quotes'. In a URL, percent-encode what is not a letter or digit.
POSTGRES_PASSWORD={postgres}
REDIS_PASSWORD={redis}
INNOMINATUS_SECRET_KEY={key}
INNOMINATUS_API_TOKEN={token}

# What may be changed, with its default: docs/how-to/run-in-containers.md says more.
# API_PUBLISH=127.0.0.1:8081
# INNOMINATUS_ALLOWED_HOSTS=
# INNOMINATUS_PROVIDERS=/app/providers/builtin
# PROVIDERS_DIR=./providers
# INNOMINATUS_THREADS=16
# WORKER_PROCESSES=1
# INNOMINATUS_GRACE_SECONDS=60
# WORKER_STOP_GRACE=90s
# INNOMINATUS_LOG_LEVEL=INFO
# PLATFORM_IMAGE=innominatus:local
# PLATFORM_TARGET=innominatus
# INNOMINATUS_DATABASE_URL=
# INNOMINATUS_REDIS_URL=
# POSTGRES_MAX_CONNECTIONS=300
"""
_NEXT = """\
Next:  docker compose up --detach --build --wait
Then:  docker compose exec -T api innominatus-ctl deploy - -w < examples/secret-and-folder.yaml"""


def text() -> str:
    """The file's content, new at each call. Passwords are URL-safe: they stand in URLs as they are."""
    return _TEXT.format(
        postgres=secrets.token_urlsafe(32),
        redis=secrets.token_urlsafe(32),
        key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        token=f"inn_{secrets.token_urlsafe(32)}",
    )


def write(path: Path) -> None:
    """Make the file, mode 0600, whole or not at all. Raises FileExistsError when there is one."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, it refuses to replace
    finally:
        draft.unlink()


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        write(path)
    except FileExistsError:
        print(f"{path} is there already and stays as it is.")
    else:
        print(f"{path} is written; keep a copy of it where the database's backups are not.")
    print(_NEXT)


if __name__ == "__main__":
    main()
