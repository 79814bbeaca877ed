"""A database that nobody reaches for a while."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import psycopg
from sqlalchemy import event

from engine.store.database import Store

_SAID = {
    "sqlite": sqlite3.OperationalError("unable to open database file"),
    "postgresql": psycopg.OperationalError('connection to server at "10.1.2.3", port 5432 failed: Connection refused'),
}
ADDRESS = "10.1.2.3"
"""What the driver names, and what nobody outside is to read."""


@contextmanager
def away(store: Store) -> Generator[list[str]]:
    """No connection is to be had while the block runs; gathers the attempts."""
    tried: list[str] = []
    gone = True

    def refuse(*_given: object) -> None:
        if gone:
            tried.append(store.engine.dialect.name)
            raise _SAID[store.engine.dialect.name]

    for engine in {store.engine, store.by_keys.engine}:
        event.listen(engine, "checkout", refuse)
    try:
        yield tried
    finally:
        gone = False


@contextmanager
def away_after_a_commit(store: Store) -> Generator[None]:
    """The next transaction of a door is the last one that the database takes while the block runs."""
    with ExitStack() as outage:
        fallen = False

        def fall(_connection: object) -> None:
            nonlocal fallen
            if not fallen and threading.current_thread().name.startswith(_DOORS):
                fallen = True
                outage.enter_context(away(store))

        for engine in {store.engine, store.by_keys.engine}:
            event.listen(engine, "commit", fall)
        try:
            yield
        finally:
            fallen = True


_DOORS = "AnyIO"
"""What the threads are called on which doors call services; the engine has its own."""
