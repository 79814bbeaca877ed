"""Copies of an SQLite database: made while it is in use, and made fit to take its place."""

import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError

from engine.errors import Conflict, Invalid, Unavailable
from engine.store import facts, schema
from engine.store.database import Store, open_engine
from engine.store.sealing import Sealer

NUMBERS_LEFT_OUT: Final = 1_000_000
"""Executions that began after the backup had numbers too; whoever dealt with them must not take new ones for those."""


def save(engine: Engine, file: Path) -> None:
    """A whole and consistent copy as `file`, readable by its owner only; whoever works on the database goes on.

    Raises Conflict when there is such a file, Unavailable when it cannot be written.
    """
    if file.exists():
        raise Conflict(f"There is a file `{file}` already.", code="file_exists", hint="Give the backup another name.")
    draft = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(engine, draft)
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(file)
    except (OSError, sqlite3.Error) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"The backup `{file}` cannot be written: {told}.", code="backup_failed", hint="Name another place."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _copy(engine: Engine, draft: Path) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(
            "VACUUM INTO ?", (str(draft),)
        )  # one read transaction, whatever is written meanwhile
    finally:
        connection.close()


def make_fit(file: Path, sealer: Sealer, *, given: Path) -> None:
    """Check a copy of what was `given`, bring it to this version and leave out numbers that may have been used since.

    Raises Invalid when it is no database of ours, Unavailable when it is sealed with another key, Conflict when a newer
    version made it.
    """
    engine = open_engine(f"sqlite:///{file}", pool_size=1)
    try:
        found = None if _fault(engine) else schema.current(engine)
        if found is None or not schema.known(found):
            raise _not_ours(given) if found is None else _newer(given, found)
        schema.upgrade(engine)
        with Store(engine, sealer).begin() as tx:
            facts.check_key(tx)
            statement = "UPDATE sqlite_sequence SET seq = seq + :more WHERE name = 'executions'"
            tx.connection.execute(sa.text(statement), {"more": NUMBERS_LEFT_OUT})
        with engine.connect() as connection:  # into the one file, so that it can be moved
            driver = connection.connection.cursor()
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            driver.execute("PRAGMA journal_mode=DELETE")
    finally:
        engine.dispose()


def _fault(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("PRAGMA integrity_check").scalar() != "ok"
    except DatabaseError:
        return True


def _not_ours(file: Path) -> Invalid:
    return Invalid(
        f"`{file}` is not a whole database of innominatus.",
        code="invalid_backup",
        hint="Name a file that `innominatus backup` has written.",
    )


def _newer(file: Path, version: str) -> Conflict:
    return Conflict(
        f"`{file}` is at version {version}, which this innominatus (up to {schema.HEAD}) does not know.",
        code="schema_newer",
        hint="Restore it with the innominatus that wrote it or a newer one.",
    )
