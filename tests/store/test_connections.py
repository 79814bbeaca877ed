"""Connections that are not to be had, and those that come back too late."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import sqlalchemy as sa

from engine.store import applications
from engine.store.away import DatabaseAway
from engine.store.database import Store
from engine.store.sealing import Sealer
from tests.support.platforms import KEY, open_store


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
        made = applications.ensure(tx, "shop", "default", actor="user:me").created_at
        assert made is not None
        assert made.utcoffset() == tx.now.utcoffset() == timedelta(0)
        assert abs(made - datetime.now(UTC)) < timedelta(minutes=5)
    store.close()
