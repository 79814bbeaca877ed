"""Column types and SQL constructs that mean the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, LargeBinary, Text, bindparam
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

Identity = BigInteger().with_variant(Integer(), "sqlite")
"""An autoincrementing primary key: SQLite gives row ids only to INTEGER."""

JsonColumn = JSON().with_variant(JSONB(), "postgresql")

Sealed = LargeBinary
"""Bytes that only `sealing` reads."""

String = Text


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC. SQLite keeps text that sorts as time; PostgreSQL keeps timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None on PostgreSQL: our connections speak UTC, and a call for each value is what costs most in long lists."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as SQL
    """The database's clock, not the transaction's start: leases are judged on it."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _now_postgresql(_element: object, _compiler: object, **_options: object) -> str:
    return "clock_timestamp()"


@compiles(database_now, "sqlite")
def _now_sqlite(_element: object, _compiler: object, **_options: object) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


class moment(FunctionElement[datetime]):  # noqa: N801 - reads as SQL
    """The transaction's `now` in a statement that is put together once; `Transaction.moment` brings what it takes."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self) -> None:
        super().__init__(bindparam("now", type_=UtcDateTime()))


@compiles(moment, "postgresql")
def _moment_postgresql(_element: object, _compiler: object, **_options: object) -> str:
    return "clock_timestamp()"


@compiles(moment, "sqlite")
def _moment_sqlite(element: moment, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class current_xact(ClauseElement):  # noqa: N801 - reads as SQL
    """Default of a column: the transaction that writes the row; 0 on SQLite, whose one writer needs no such mark."""

    inherit_cache = True


@compiles(current_xact, "postgresql")
def _xact_postgresql(_element: object, _compiler: object, **_options: object) -> str:
    return "(pg_current_xact_id()::text)::bigint"


@compiles(current_xact, "sqlite")
def _xact_sqlite(_element: object, _compiler: object, **_options: object) -> str:
    return "0"


def sqlite_time(moment: datetime) -> str:
    """The text that SQLite keeps for a moment, for statements that bypass SQLAlchemy's types."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def dump_json(value: object) -> str:
    """Compact JSON; keys keep their order."""
    try:
        return to_json(value).decode()
    except ValueError:  # it goes two hundred levels deep, or holds half a character
        return _ENCODER.encode(value)


def load_json(text: str | bytes) -> Any:
    """What `dump_json` wrote: integers of any size, which not every quick parser keeps."""
    try:
        return from_json(text)
    except ValueError:  # it goes two hundred levels deep
        return json.loads(text)
