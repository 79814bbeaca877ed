"""INSERT ... ON CONFLICT, which SQLAlchemy has per dialect."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite


def insert(table: Table, *, postgresql: bool) -> pg.Insert | sqlite.Insert:
    """An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return pg.insert(table) if postgresql else sqlite.insert(table)
