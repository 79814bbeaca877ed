from tests.support.platforms import database_url, postgres_with_tables, sqlite_with_tables, store

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables", "store"]
