"""Many new rows in one statement.

PostgreSQL gets them as one JSON value: the statement is the same for one row and for thousands, so it is put together
and planned once. SQLAlchemy's own way writes a statement as long as its rows, which costs more than the database does.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from engine.store.database import Transaction
from engine.store.types import dump_json
from engine.store.upsert import insert

_DIALECT = postgresql.dialect()


def insert_rows(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]], *, anew: bool = False) -> None:
    """Insert rows of the same columns. With `anew` those whose key is taken are left out."""
    if not rows:
        return
    if tx.postgresql:
        end = "ON CONFLICT DO NOTHING" if anew else ""
        tx.connection.exec_driver_sql(_statement(table, tuple(rows[0]), end), {"rows": as_json(rows)})
    else:
        tx.connection.execute(_sqlite_statement(table, anew=anew), list(rows))


def insert_numbered(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> list[int]:
    """Insert rows of the same columns; returns their ids, which rise, in the order given."""
    if not rows:
        return []
    if tx.postgresql:
        statement = _statement(table, tuple(rows[0]), "RETURNING id")
        return sorted(tx.connection.exec_driver_sql(statement, {"rows": as_json(rows)}).scalars())
    return list(tx.connection.execute(_sqlite_numbered(table), list(rows)).scalars())


@lru_cache(maxsize=64)
def _sqlite_statement(table: sa.Table, *, anew: bool) -> sa.Insert:
    statement = insert(table, postgresql=False)
    return statement.on_conflict_do_nothing() if anew else statement


@lru_cache(maxsize=64)
def _sqlite_numbered(table: sa.Table) -> ReturningInsert[Any]:
    return sa.insert(table).returning(table.c.id, sort_by_parameter_order=True)


@lru_cache(maxsize=64)
def _statement(table: sa.Table, keys: tuple[str, ...], end: str) -> str:
    """Ids are taken in the order of the rows: the sequence is asked behind the sort."""
    sealed = {key for key in keys if isinstance(table.c[key].type, sa.LargeBinary)}
    types = ", ".join(f'"{key}" {"text" if key in sealed else _type(table.c[key])}' for key in keys)
    names = ", ".join(f'"{table.c[key].name}"' for key in keys)
    given = ", ".join(f'"{key}"' for key in keys)
    values = ", ".join(f"decode(\"{key}\", 'hex')" if key in sealed else f'"{key}"' for key in keys)
    rows = f"ROWS FROM (json_to_recordset(%(rows)s::json) AS ({types})) WITH ORDINALITY AS given({given}, number)"
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {rows} ORDER BY number {end}"  # noqa: S608 - ours


def _type(column: sa.Column[object]) -> str:
    return column.type.compile(dialect=_DIALECT)


def as_json(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows for `json_to_recordset`: bytes as hexadecimal digits, moments as text."""
    try:
        return to_json(rows, bytes_mode="hex").decode()
    except ValueError:  # one goes two hundred levels deep, or holds half a character
        return dump_json([{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else value
