from collections.abc import Iterator

import pytest

from engine.store.database import Store
from tests.chaos import history
from tests.support.platforms import database_url, open_store, postgres_with_tables, sqlite_with_tables, store
from tests.support.postgres import PostgresServer

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables", "store"]


@pytest.fixture
def recorded_url(postgres_with_tables: str, postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh PostgreSQL database that keeps every change of its rows."""
    url = postgres_server.database_url(template=postgres_with_tables)
    history.record(url)
    yield url
    postgres_server.drop(url.rpartition("/")[2])


@pytest.fixture
def recorded_store(recorded_url: str) -> Iterator[Store]:
    """The same database for those who watch."""
    made = open_store(recorded_url)
    yield made
    made.close()
