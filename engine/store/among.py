"""`column IN (...)` for ids: on PostgreSQL as one array, so that every length is the same statement to the server."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from engine.store.database import Transaction


def among(tx: Transaction, column: sa.ColumnElement[int], ids: Collection[int]) -> sa.ColumnElement[bool]:
    """True for rows whose `column` is one of `ids`. SQLite bounds the number of ids at about 30,000."""
    if not tx.postgresql:
        return column.in_(ids)
    return column == sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger)))
