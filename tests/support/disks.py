"""A database whose disk can be full for a while."""

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext

from engine.store.away import DatabaseAway
from engine.store.database import Store
from tests.support.platforms import until

_ROOM = 1_000_000_000
_TABLES = ("executions", "step_runs", "step_logs", "resources", "events")
_REFUSE = """
create table disk (is_full boolean);
insert into disk values (false);
create sequence refusals;
create function refuse() returns trigger language plpgsql as $$ begin
  if (select is_full from disk) then
    perform nextval('refusals');  -- which no rollback takes back
    raise exception 'could not extend file "base/1/2": No space left on device' using errcode = '53100';
  end if;
  return new;
end $$;
"""


class Disk(ABC):
    """`refused` counts what the database refused to the `heartbeat`, the `sweep`, the `logs` and the `runs`."""

    told: ClassVar[str] = "the database's disk is full"
    """What the engine is to say of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refused: Counter[str] = Counter()
        for engine in {store.engine, store.by_keys.engine}:
            event.listen(engine, "handle_error", self._count)

    def _count(self, context: ExceptionContext) -> None:
        del context
        thread = threading.current_thread().name
        self.refused[thread if thread in {"heartbeat", "sweep", "logs"} else "runs"] += 1

    @abstractmethod
    def full(self) -> AbstractContextManager[None]:
        """The disk is full while the block runs."""

    def _run(self, *statements: str) -> None:
        with self.store.begin() as tx:
            for statement in statements:
                tx.connection.exec_driver_sql(statement)


class FullPostgres(Disk):
    """The server refuses every row, with the error of a full disk."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        made = "create trigger refuse before insert or update on {} for each row execute function refuse()"
        self._run(_REFUSE, *(made.format(table) for table in _TABLES))

    @contextmanager
    def full(self) -> Generator[None]:
        self._run("update disk set is_full = true")
        yield
        self._run("update disk set is_full = false")

    def refusals(self) -> int:
        """How many rows it has refused so far, to whichever process."""
        with self.store.read() as tx:
            query = "select case when is_called then last_value else 0 end from refusals"
            return tx.connection.exec_driver_sql(query).scalar_one()


class FullSqlite(Disk):
    """The file may not grow, and has no page left: what is large is refused."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._pages = _ROOM
        event.listen(store.engine, "checkout", self._bound)
        self._run("create table filler (x blob)")

    def _bound(self, connection: Any, _record: object, _proxy: object) -> None:
        connection.execute(f"pragma max_page_count = {self._pages}")

    @contextmanager
    def full(self) -> Generator[None]:
        self._pages = 1  # it takes that for what there is
        try:
            while True:
                self._run("insert into filler values (zeroblob(3000))")
        except DatabaseAway:
            self.refused.clear()
        yield
        self._pages = _ROOM


class ReadOnlySqlite(Disk):
    """The file cannot be written at all, as when its file system has gone read-only."""

    told = "the database does not take what is written"

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._closed = False
        event.listen(store.engine, "checkout", self._bound)

    def _bound(self, connection: Any, _record: object, _proxy: object) -> None:
        connection.execute(f"pragma query_only = {int(self._closed)}")

    @contextmanager
    def full(self) -> Generator[None]:
        self._closed = True
        yield
        self._closed = False


DISKS: dict[str, Callable[[Store], Disk]] = {
    "postgresql": FullPostgres,
    "sqlite": FullSqlite,
    "read-only": ReadOnlySqlite,
}


class HalfFull:
    """Lets a store take what the engine records of its runs, and while `full` nothing that begins anything new."""

    def __init__(self, store: Store) -> None:
        self.full = False
        self.refused = 0
        for engine in {store.engine, store.by_keys.engine}:
            event.listen(engine, "before_cursor_execute", self._refuse)

    def _refuse(self, _connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if self.full and statement.startswith(_NEWS):
            self.refused += 1
            raise DatabaseAway(Exception("database or disk is full"))


_NEWS = tuple(f"INSERT INTO {table} " for table in ("applications", "executions", "resources"))


def refusals(disk: Disk, of: str, count: int = 1) -> None:
    """Wait until the database has refused them so many writes."""
    until(lambda: disk.refused[of] >= count, told=lambda: disk.refused)
