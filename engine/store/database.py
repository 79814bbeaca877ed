"""Connections and transactions. `Store.begin()` writes, `Store.read()` reads; nobody else opens a transaction."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from engine.store.sealing import Sealer
from engine.store.types import database_now

DatabaseFailure = DBAPIError
"""What the driver raises: an outage, a broken connection, a refused row."""
DatabaseAway = OperationalError
"""Of these, what is not the fault of the data and may pass."""


@dataclass(frozen=True)
class Transaction:
    """One open transaction; the nouns of the store take it. It ends with its `with` block, never by hand."""

    connection: Connection
    sealer: Sealer
    after_commit: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    @cached_property
    def now(self) -> datetime:
        """The database's clock, read once per transaction. SQLite's is this machine's: asking it only costs time."""
        if not self.postgresql:
            return datetime.now(UTC)
        return self.connection.execute(sa.select(database_now())).scalar_one()

    def knows(self, now: datetime) -> None:
        """A statement has brought the database's clock along: it need not be asked for."""
        self.__dict__.setdefault("now", now)

    @property
    def postgresql(self) -> bool:
        return self.connection.dialect.name == "postgresql"


class Store:
    """The database. On SQLite all writers of the process take turns on one lock: SQLite has one writer anyway."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self.engine = engine
        self.sealer = sealer
        self._writer = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._readers = engine.execution_options(innominatus_read_only=True)

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        """A writing transaction: leaving the block commits, an exception rolls back, then `after_commit` runs."""
        if self._writer is None:
            with self.engine.begin() as connection:
                transaction = Transaction(connection, self.sealer)
                yield transaction
        else:
            with self._writer, self.engine.begin() as connection:
                transaction = Transaction(connection, self.sealer)
                yield transaction
        for call in transaction.after_commit:
            call()

    @contextmanager
    def read(self) -> Generator[Transaction]:
        """A consistent snapshot; nothing in it may write."""
        with self._readers.connect() as connection, connection.begin():
            yield Transaction(connection, self.sealer)

    def close(self) -> None:
        self.engine.dispose()


def open_engine(url: str, *, pool_size: int = 20) -> Engine:
    """An SQLAlchemy engine with the settings our durability needs on either database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, pool_size=pool_size, max_overflow=20, connect_args={"timeout": 30})
        _prepare_sqlite(engine)
        return engine
    return sa.create_engine(
        parsed, pool_size=pool_size, max_overflow=10, pool_pre_ping=True, connect_args={"prepare_threshold": 2}
    )


def _prepare_sqlite(engine: Engine) -> None:
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, not the driver
        for pragma in (
            "journal_mode=WAL",  # readers do not wait for the writer
            "synchronous=FULL",  # a commit survives a power cut; group commit makes it cheap
            "foreign_keys=ON",
            "busy_timeout=30000",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("innominatus_read_only", False)
        # A writer takes the lock at once: upgrading a reader later could fail with "database is locked".
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)
