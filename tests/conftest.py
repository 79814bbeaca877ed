"""Fixtures that every room of the house uses."""

from tests.support.postgres import postgres_database, postgres_server

__all__ = ["postgres_database", "postgres_server"]
