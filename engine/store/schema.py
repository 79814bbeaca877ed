"""Which version the database's tables have, and the way from one to another.

Alembic is imported only where tables change: reading the version needs none of it.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, OperationalError

from engine.errors import Conflict, Unavailable
from engine.store.away import DatabaseAway
from engine.store.database import open_engine
from engine.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0007"
"""The version this code reads and writes: the newest file in `migrations/versions`."""

_VERSIONS = sa.table("alembic_version", sa.column("version_num", sa.String))
_ADVISORY_LOCK = 0x696E6E6F6D  # "innom": migrations of one PostgreSQL database take turns on it
_alembic = threading.Lock()  # Alembic keeps the running migration in module globals


def current(engine: Engine) -> str | None:
    """The version of the tables; None for a database without any. Unavailable when the database does not answer."""
    with in_words(engine), engine.execution_options(innominatus_read_only=True).connect() as connection:
        return _read(connection)


def check(engine: Engine) -> None:
    """Return when the tables are those of this code; Unavailable or Conflict say which command helps."""
    found = current(engine)
    if found != HEAD:
        raise _mismatch(engine, found)


def upgrade(database: Engine | str, revision: str = "head") -> None:
    """Bring the tables up to `revision`, all or nothing; at `head` already, do nothing.

    Processes that upgrade at once take turns and the second finds nothing to do. Conflict when the tables were made by
    a newer version or by something else.
    """
    from alembic import command  # noqa: PLC0415 - 0.1 s that only a changing database costs

    _migrate(database, lambda config: command.upgrade(config, revision), _refuse_foreign_tables)


def downgrade(database: Engine | str, revision: str) -> None:
    """Take the tables back to `revision` (`base` removes them all with what is in them), all or nothing."""
    from alembic import command  # noqa: PLC0415 - as above

    _migrate(database, lambda config: command.downgrade(config, revision))


@contextmanager
def exclusively(connection: Connection) -> Generator[None]:
    """One transaction that no other migration of this database can overlap."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield
        return
    # SQLite rebuilds a table to change it: with foreign keys on, dropping the old one would delete what refers to it.
    # The setting changes only between transactions; ours begin with BEGIN IMMEDIATE, which is the lock.
    driver = connection.connection.cursor()
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        with connection.begin():
            yield
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise Conflict(
                    f"The migration would leave {len(broken)} rows that refer to nothing, first in `{broken[0][0]}`; "
                    "nothing was changed.",
                    code="migration_breaks_references",
                )
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
        driver.close()


def _migrate(
    database: Engine | str,
    run: "Callable[[Config], None]",
    prepare: Callable[[Connection], None] | None = None,
) -> None:
    engine = open_engine(database) if isinstance(database, str) else database
    try:
        with _alembic, in_words(engine), engine.connect() as connection, exclusively(connection):
            found = _read(connection)
            if found is not None and not known(found):
                raise _mismatch(engine, found)
            if prepare:
                prepare(connection)
            _run(run, connection)
    finally:
        if engine is not database:
            engine.dispose()


def _run(run: "Callable[[Config], None]", connection: Connection) -> None:
    from alembic.config import Config  # noqa: PLC0415 - as above
    from alembic.util import CommandError  # noqa: PLC0415 - as above

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    try:
        run(config)
    except CommandError as error:
        raise Conflict(f"The migration cannot be done: {error}.", code="migration_refused") from error


def _read(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSIONS.name):
        return None
    return connection.execute(sa.select(_VERSIONS.c.version_num)).scalar()


def known(version: str) -> bool:
    """Whether a version of the tables is this code's or an older one's."""
    return version.isdecimal() and len(version) == len(HEAD) and version <= HEAD


def _refuse_foreign_tables(connection: Connection) -> None:
    taken = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
    if taken and _read(connection) is None:
        raise Conflict(
            f"The database has a table `{min(taken)}` that no migration of innominatus made.",
            code="schema_foreign",
            hint="Give innominatus a database of its own: set `INNOMINATUS_DATABASE_URL`.",
        )


def _mismatch(engine: Engine, found: str | None) -> Unavailable | Conflict:
    name = engine.url.render_as_string(hide_password=True)
    details = {"found": found, "expected": HEAD}
    if found is None:
        return Unavailable(
            f"The database {name} has no tables yet.",
            code="schema_missing",
            hint="Run `innominatus migrate`.",
            details=details,
        )
    if known(found):
        return Unavailable(
            f"The tables of {name} are at version {found}; this innominatus needs {HEAD}.",
            code="schema_outdated",
            hint="Stop what uses the database, make a backup, then run `innominatus migrate`.",
            details=details,
        )
    return Conflict(
        f"The tables of {name} are at version {found}, which this innominatus (up to {HEAD}) does not know.",
        code="schema_newer",
        hint="Use the innominatus that wrote it or a newer one; `innominatus migrate` goes forward only.",
        details=details,
    )


@contextmanager
def in_words(engine: Engine) -> Generator[None]:
    """A database that is away, full or none of ours raises Unavailable; `passing` says whether it may come back."""
    try:
        yield
    except (DatabaseAway, DatabaseError) as error:
        # The other subclasses are faults of a statement; the bare class is SQLite's for "file is not a database".
        if not isinstance(error, DatabaseAway | OperationalError) and type(error) is not DatabaseError:
            raise
        name = engine.url.render_as_string(hide_password=True)
        driver = error.driver if isinstance(error, DatabaseAway) else error.orig
        reason = str(driver).strip().splitlines()[0] if str(driver).strip() else type(driver).__name__
        raise Unavailable(
            f"The database {name} cannot be used: {reason}.",
            code="database_unavailable",
            details={"passing": not any(word in reason for word in _FOR_GOOD)},
        ) from error


_FOR_GOOD = ("authentication failed", "does not exist", "no pg_hba.conf entry", "not a database", "permission denied")
"""What the server says when asking again is of no use. The driver gives no code for failed connections."""
