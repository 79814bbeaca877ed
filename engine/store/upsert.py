"""INSERT ... ON CONFLICT, which SQLAlchemy has per dialect."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.database import Transaction


def insert(tx: Transaction, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if tx.postgresql else sqlite.insert(table)
