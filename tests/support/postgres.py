"""Real PostgreSQL for tests: one server per test process, one fresh database per test.

A server costs half a second and is started by the first test that asks for one; a database costs 20 to 40 ms.
"""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support import servers


@dataclass(slots=True)
class PostgresServer:
    """A running server. Databases made here may be used by its administrator only."""

    server: servers.RunningServer
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        """An SQLAlchemy URL."""
        at = self.server
        return f"postgresql+psycopg://{at.user}:{at.password}@{at.host}:{at.port}/{database}"

    def database_url(self, *, template: str = "template1") -> str:
        """The URL of a new database, a copy of `template` (which must have no connections)."""
        name = f"test_{next(self.numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self.execute(statement)
        return self.url(name)

    def drop(self, database: str) -> None:
        """Drop a database and whatever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(statement)

    def conninfo(self, database: str = "postgres") -> str:
        """A libpq connection string for the administrator."""
        return self.url(database).replace("postgresql+psycopg://", "postgresql://")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process (each pytest-xdist worker has its own), stopped at the end."""
    data = Path(tempfile.mkdtemp(prefix="innominatus-tests-"))
    try:
        yield PostgresServer(servers.start("postgres", data))
    finally:
        servers.purge(data)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL (`postgresql+psycopg://...`) of a fresh database, dropped after the test."""
    url = postgres_server.database_url()
    yield url
    postgres_server.drop(url.rpartition("/")[2])
