"""Fixtures for the tests of the REST door."""

from tests.support.platforms import database_url, postgres_with_tables, sqlite_with_tables, store
from tests.support.rest import door

__all__ = ["database_url", "door", "postgres_with_tables", "sqlite_with_tables", "store"]
