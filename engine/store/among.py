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
    return found_by(column, query, postgresql=tx.postgresql)


def given_as(parameter: str, column: sa.ColumnElement[int], *, postgresql: bool) -> sa.ColumnElement[bool]:
    """`among` for a statement that is put together once: the ids come with this parameter."""
    if not postgresql:
        return column.in_(sa.bindparam(parameter, expanding=True))
    return column == sa.any_(sa.bindparam(parameter, type_=ARRAY(sa.BigInteger)))


def found_by(column: sa.ColumnElement[int], query: sa.Select[Any], *, postgresql: bool) -> sa.ColumnElement[bool]:
    """`among_those` for a statement that is put together once."""
    if not postgresql:
        return column.in_(query)
    return column == sa.any_(sa.func.array(query.scalar_subquery(), type_=ARRAY(sa.BigInteger)))
