"""Connections that are not to be had, how many a process holds, and those that come back too late."""

import base64
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from cli import compose
from engine.domain.provider import Registry
from engine.errors import NotFound
from engine.providers.active import ActiveProviders
from engine.store import applications, database
from engine.store.away import DatabaseAway
from engine.store.database import Store
from engine.store.sealing import Sealer
from tests.support.platforms import KEY, PATIENCE, create_tables, open_store, settings_for, until


def test_that_no_connection_is_free_counts_as_a_database_that_is_away(database_url: str) -> None:
    store = Store(sa.create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.01), Sealer(KEY))
    with store.read():
        with pytest.raises(DatabaseAway), store.begin():
            raise AssertionError
        with pytest.raises(DatabaseAway), store.read():
            raise AssertionError
    with store.begin():
        pass
    store.close()


def test_who_holds_a_connection_can_ask_for_a_bundle(postgres_database: str) -> None:
    """As many as the pool has would wait for each other."""
    create_tables(postgres_database)
    store = database.open_store(postgres_database, Sealer(KEY), pool_size=1)
    providers = ActiveProviders(store, Registry(()), Path("nowhere"))
    with store.read(), pytest.raises(NotFound):
        providers.provider("sha256:not-loaded-yet")
    store.close()


def test_a_connection_that_is_in_use_when_the_store_is_closed_is_closed_as_it_comes_back(database_url: str) -> None:
    for of_engine in (False, True):
        store = open_store(database_url)
        used = store.by_keys if of_engine else store
        with used.begin() as tx:
            held = tx.connection.connection.dbapi_connection
            store.close()
        gone = getattr(held, "closed", None)  # psycopg's; sqlite3 says it when it is used
        if gone is None:
            with pytest.raises(sqlite3.ProgrammingError):
                cast("sqlite3.Connection", held).execute("SELECT 1")
        else:
            assert gone


def test_who_reads_holds_nobody_up(store: Store) -> None:
    """On PostgreSQL nothing is open between two statements of a reader, which the server would have to keep."""
    with store.read() as reader:
        assert applications.listed(reader) == []
        with store.begin() as tx:
            applications.ensure(tx, "shop", "default", actor="user:me")
        if reader.postgresql:
            pid = reader.connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            asked = sa.text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
            with store.begin() as tx:
                assert tx.connection.execute(asked, {"pid": pid}).scalar_one() == "idle"


def test_times_are_told_in_utc_whatever_zone_the_database_is_set_to(database_url: str) -> None:
    zone = "?options=-c%20TimeZone%3DAsia/Tokyo" if database_url.startswith("postgresql") else ""
    store = open_store(database_url + zone)
    with store.begin() as tx:
        made = applications.ensure(tx, "shop", "default", actor="user:me").application.created_at
        assert made is not None
        assert made.utcoffset() == tx.now.utcoffset() == timedelta(0)
        assert abs(made - datetime.now(UTC)) < timedelta(minutes=5)
    store.close()


class Readers:
    """Threads that read at once; whoever is admitted stays until all may go."""

    def __init__(self, *stores: Store) -> None:
        self.begun: list[Store] = []
        self.answered: list[Store] = []
        self.failed: list[Exception] = []
        self._may_go = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(store,)) for store in stores]
        for thread in self._threads:
            thread.start()

    def _read(self, store: Store) -> None:
        self.begun.append(store)
        try:
            with store.read() as tx:
                tx.connection.execute(sa.text("SELECT 1"))
                self.answered.append(store)
                self._may_go.wait(PATIENCE)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failed.append(error)

    def let_go(self) -> None:
        self._may_go.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_process_of_64_threads_holds_28_connections_and_whoever_finds_none_free_waits(
    database_url: str, tmp_path: Path
) -> None:
    key = base64.urlsafe_b64encode(KEY).decode()
    settings = settings_for(tmp_path, threads=64, database_url=database_url, secret_key=key)
    with closing(compose.open_store(settings)) as store:
        readers = Readers(*[store] * 65, *[store.by_keys] * 65)
        try:
            until(lambda: len(readers.begun) == 130 and len(readers.answered) >= 28, told=lambda: readers.failed)
            assert sessions(database_url) == 28
        finally:
            readers.let_go()
    assert readers.failed == []
    assert len(readers.answered) == 130


def sessions(database_url: str) -> int:
    """How many connections there are to the database besides the one that asks."""
    asking = sa.create_engine(database_url, poolclass=sa.NullPool)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with asking.connect() as connection:
        return connection.execute(sa.text(others)).scalar_one()
