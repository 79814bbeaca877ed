"""Connections and transactions. `Store.begin()` writes, `Store.read()` reads; nobody else opens a transaction.

What the driver says of a database that is away, busy or full leaves here as `DatabaseAway`, for every door.
"""

import math
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from engine.domain.graph import Drawing
from engine.domain.values import ExecutionId
from engine.errors import Invalid
from engine.store.away import InOurWords, Moment
from engine.store.hints import EVENTS, Hints, Topic, of_application, of_end, of_execution
from engine.store.sealing import Sealer
from engine.store.types import database_now


@dataclass(frozen=True)
class Transaction:
    """One open transaction; the nouns of the store take it. It ends with its `with` block, never by hand."""

    connection: Connection
    sealer: Sealer
    before_commit: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    facts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Rows of the timeline that `before_commit` writes."""
    drawings: list[Drawing] = field(default_factory=list[Drawing])
    """What `before_commit` draws into the graph."""
    touched: set[ExecutionId] = field(default_factory=set[ExecutionId])
    """Executions with news that leave no row in the timeline: steps, logs."""
    ended: set[ExecutionId] = field(default_factory=set[ExecutionId])
    """Executions that come to their end in it."""
    readied: list[ExecutionId] = field(default_factory=list[ExecutionId])
    """Executions that it makes ready to be claimed."""

    @cached_property
    def now(self) -> datetime:
        """The database's clock, read once per transaction. SQLite's is this machine's: asking it only costs time."""
        if not self.postgresql:
            return datetime.now(UTC)
        return self.connection.execute(sa.select(database_now())).scalar_one()

    @property
    def moment(self) -> Mapping[str, datetime]:
        """Parameters for a statement that says `moment()`: PostgreSQL looks at its own clock."""
        return {} if self.postgresql else {"now": self.now}

    def knows(self, now: datetime) -> None:
        """A statement has brought the database's clock along: it need not be asked for."""
        self.__dict__.setdefault("now", now)

    @property
    def postgresql(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    @property
    def news(self) -> set[Topic]:
        """What those who listen will want to look at once this is committed."""
        found = {of_execution(execution_id) for execution_id in self.touched} | set(map(of_end, self.ended))
        for fact in self.facts:
            found.add(EVENTS)
            if fact["execution_id"] is not None:
                found.add(of_execution(fact["execution_id"]))
            if fact["application_id"] is not None:
                found.add(of_application(fact["application_id"]))
        return found


_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"innominatus_read_only": True},
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}


class Store:
    """The database. On SQLite all writers of the process take turns on one lock: SQLite has one writer anyway."""

    def __init__(
        self,
        engine: Engine,
        sealer: Sealer,
        *,
        by_keys: Engine | None = None,
        beside: Engine | None = None,
        hints: Hints | None = None,
    ) -> None:
        self.engine = engine
        self.sealer = sealer
        self.hints = hints or Hints(alone=engine.dialect.name == "sqlite")
        self._writer = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._readers = engine.execution_options(**_READING[engine.dialect.name])
        self._by_keys = by_keys
        self._beside = beside
        self._single: Engine | None = None

    @cached_property
    def by_keys(self) -> "Store":
        """The same database for the engine's own statements, which know the rows they want.

        On PostgreSQL their plans follow the indexes whatever the statistics say: right after a start they are empty.
        """
        if self._by_keys is None:
            return self
        store = Store(self._by_keys, self.sealer, beside=self._beside, hints=self.hints)
        store._single = self._by_keys.execution_options(isolation_level="AUTOCOMMIT")
        return store

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        """A writing transaction: leaving the block commits, an exception rolls back."""
        with self._writer or nullcontext(), InOurWords(Moment.WRITING) as words, self.engine.begin() as connection:
            transaction = Transaction(connection, self.sealer)
            yield transaction
            for call in transaction.before_commit:
                call()
            words.moment = Moment.COMMITTING
        self._hint(transaction)

    @contextmanager
    def single(self) -> Generator[Transaction]:
        """A writing transaction of one statement, which needs no others to begin and end it where that is possible."""
        if self._single is None:
            with self.begin() as transaction:
                yield transaction
        else:
            with InOurWords(Moment.COMMITTING), self._single.connect() as connection:
                transaction = Transaction(connection, self.sealer)
                yield transaction
            self._hint(transaction)

    def _hint(self, transaction: Transaction) -> None:
        if (transaction.facts or transaction.touched) and self.hints.wanted:
            self.hints.tell(transaction.news)

    @contextmanager
    def read(self) -> Generator[Transaction]:
        """Nothing in it may write. SQLite shows one state to all of its statements, PostgreSQL one to each.

        That is what PostgreSQL does in its ordinary transactions too: beginning and ending one would only take time.
        """
        with self._reading(self._readers) as transaction:
            yield transaction

    @contextmanager
    def read_beside(self) -> Generator[Transaction]:
        """As `read`, on a connection of its own: for what is asked seldom, and by some who hold a connection already.

        Were they to wait for another one of the pool, as many as it has could wait for each other.
        """
        beside = self._beside or self.engine
        with self._reading(beside.execution_options(**_READING[beside.dialect.name])) as transaction:
            yield transaction

    @contextmanager
    def _reading(self, engine: Engine) -> Generator[Transaction]:
        with InOurWords(Moment.READING), engine.connect() as connection, connection.begin():
            yield Transaction(connection, self.sealer)

    def close(self) -> None:
        self.engine.dispose()
        for other in (self._by_keys, self._beside):
            if other is not None:
                other.dispose()


def open_store(url: str, sealer: Sealer, *, pool_size: int = 20) -> Store:
    """A store with the settings our durability needs on either database."""
    engine, beside = open_engine(url, pool_size=pool_size), open_engine(url, pool_size=0)
    if engine.dialect.name == "sqlite":
        return Store(engine, sealer, beside=beside)
    by_keys = open_engine(url, pool_size=_BY_KEYS_CONNECTIONS, by_keys=True)
    return Store(engine, sealer, by_keys=by_keys, beside=beside)


_BY_KEYS_CONNECTIONS = 12
_OTHER_WAYS = ("enable_seqscan", "enable_bitmapscan", "enable_mergejoin", "enable_hashjoin")
_FRESH_SECONDS = 1.0


def open_engine(url: str, *, pool_size: int = 20, by_keys: bool = False) -> Engine:
    """An SQLAlchemy engine on either database, of `pool_size` connections at most on PostgreSQL; 0: each is made anew.

    What comes back is kept: to make connections and close them again would cost more than what they are asked.
    Raises Invalid for a URL that cannot be read.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError) as error:
        hint = "Write postgresql://user:password@host/database, and percent-encode what passwords hold."
        raise Invalid("INNOMINATUS_DATABASE_URL cannot be read as a URL.", code="invalid_setting", hint=hint) from error
    if parsed.get_backend_name() == "sqlite":
        pool = {"pool_size": pool_size, "max_overflow": 20} if pool_size else {"poolclass": NullPool}
        engine = sa.create_engine(parsed, **pool, connect_args={"timeout": 30})
        _prepare_sqlite(engine)
        _close_late_ones(engine)
        return engine
    kept = {"pool_size": pool_size, "max_overflow": 0, "pool_use_lifo": True}
    pool = kept if pool_size else {"poolclass": NullPool}
    engine = sa.create_engine(parsed, **pool, connect_args={"prepare_threshold": 2})
    _prepare_postgresql(engine, ("jit", *_OTHER_WAYS) if by_keys else ("jit",))
    _close_late_ones(engine)
    return engine


def _close_late_ones(engine: Engine) -> None:
    """A connection that comes back when the engine has been disposed of is closed, not left to the collector."""
    disposed = threading.Event()

    def dispose(_engine: Engine) -> None:
        disposed.set()

    def returned(_connection: Any, record: ConnectionPoolEntry) -> None:
        if disposed.is_set():
            record.close()

    event.listen(engine, "engine_disposed", dispose)
    event.listen(engine, "checkin", returned)


def _prepare_postgresql(engine: Engine, off: Sequence[str]) -> None:
    """Speak UTC, switch some of the planner's ways off, and ask a connection that has rested whether it still stands.

    Asking one that has just been used would cost every transaction a round trip.
    """

    def connect(connection: Any, _record: object) -> None:
        connection.execute("; ".join(["SET TimeZone = 'UTC'", *(f"SET {name} = off" for name in off)]))
        connection.commit()

    def returned(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["returned"] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get("returned", math.inf) < _FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "connect", connect)
    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)


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
