"""`innominatus backup` and `innominatus restore`: the database of embedded mode as one file, and back."""

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from cli import data_dir, live
from cli.compose import sealer_of
from engine.config import Settings
from engine.errors import Invalid, NotFound, Unavailable
from engine.store import backup, schema
from engine.store.database import open_engine

_DATABASE = "innominatus.db"


def save(settings: Settings, file: Path) -> None:
    """Copy the database into `file`, also while a platform is at work on it."""
    _check_embedded(settings)
    database = settings.data_dir / _DATABASE
    if not database.exists():
        raise Unavailable(
            f"There is no database `{database}`.", code="no_database", hint="Name the data directory with --data-dir."
        )
    engine = open_engine(settings.sqlalchemy_url, pool_size=1)
    try:
        schema.check(engine)
        backup.save(engine, file)
    finally:
        engine.dispose()


def restore(settings: Settings, file: Path) -> Path | None:
    """Put the copy in the database's place, whole or not at all; the answer is where the one before is now."""
    _check_embedded(settings)
    if not file.is_file():
        raise NotFound("backup", str(file))
    data_dir.prepare(settings)
    if not settings.secret_key.get_secret_value() and not (settings.data_dir / "secret.key").exists():
        raise Unavailable(
            f"`{settings.data_dir}` has no `secret.key`, and without the one of the backup its secrets cannot be read.",
            code="secret_key_missing",
            hint="Put the file secret.key that you kept into the data directory, then restore again.",
        )
    with live.alone(settings.data_dir):
        return _replace(settings, file)


def _replace(settings: Settings, file: Path) -> Path | None:
    draft = settings.data_dir / f".restoring-{secrets.token_hex(4)}"
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        shutil.copyfile(file, draft)
        backup.make_fit(draft, sealer_of(settings), given=file)
        kept = _set_aside(settings.data_dir / _DATABASE)
        draft.replace(settings.data_dir / _DATABASE)
    finally:
        for left in (draft, *(draft.with_name(f"{draft.name}{end}") for end in _BESIDE)):
            left.unlink(missing_ok=True)
    return kept


_BESIDE = ("-wal", "-shm")


def _set_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    kept = database.with_name(f"{_DATABASE}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    for end in (*_BESIDE, ""):
        part = database.with_name(f"{database.name}{end}")
        if part.exists():
            part.chmod(0o600)
            part.rename(kept.with_name(f"{kept.name}{end}"))
    return kept


def _check_embedded(settings: Settings) -> None:
    if not settings.embedded:
        raise Invalid(
            "INNOMINATUS_DATABASE_URL names a PostgreSQL: it has programs of its own for this.",
            code="not_embedded",
            hint="Use pg_dump and pg_restore, as docs/how-to/back-up-and-restore.md shows.",
        )
