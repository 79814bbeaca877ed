"""`column IN (...)` for ids: on PostgreSQL as one array.

Every length is the same statement to the server, and it looks each id up instead of reading a whole index along.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from engine.store.database import Transaction


def among(tx: Transaction, column: sa.ColumnElement[int], ids: Collection[int]) -> sa.ColumnElement[bool]:
    """True for rows whose `column` is one of `ids`. SQLite bounds the number of ids at about 30,000."""
    if not tx.postgresql:
        return column.in_(ids)
    return column == sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger)))


def among_those(tx: Transaction, column: sa.ColumnElement[int], query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """True for rows whose `column` is one of the few ids that `query` finds."""
    if not tx.postgresql:
        return column.in_(query)
    found = sa.func.array(query.scalar_subquery(), type_=ARRAY(sa.BigInteger))
    return column == sa.any_(found)
