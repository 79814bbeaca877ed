"""Connections that are not to be had, and those that come back too late."""

import sqlite3
from typing import cast

import pytest
import sqlalchemy as sa

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
