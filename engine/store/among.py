"""`column IN (...)` for ids: whatever their number it is the same statement, put together once.

PostgreSQL gets them as one array. It plans the statement once, too, and looks each id up instead of reading a whole
index along.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType

Given = Collection[int] | str
"""Ids, or the name of the parameter that brings them: for a statement that is put together once and for all."""


class _Ids(UserDefinedType[Collection[int]]):
    """Ids as the text of an array, which is quicker to write than a list is to bind."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_options: object) -> str:
        return "BIGINT[]"

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        del dialect

        def text(value: Collection[int] | None) -> str:
            return f"{{{','.join(map(str, value or ()))}}}"

        return text


class _Condition(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> "_Condition":
        """As it is: SQLite uses no index for a condition of which it is asked whether it equals 1."""
        del against
        return self


class _Among(_Condition):
    inherit_cache = True


def among(column: sa.ColumnElement[int], ids: Given) -> sa.ColumnElement[bool]:
    """True for rows whose `column` is one of `ids`. SQLite bounds their number at about 30,000."""
    if isinstance(ids, str):
        return _Among(column, sa.bindparam(ids, type_=_Ids()))
    return _Among(column, sa.bindparam(None, ids, type_=_Ids(), unique=True))


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({ids})"


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    """Each by itself: of one value that holds them all it would not know that they are few."""
    column, ids = element.clauses
    assert isinstance(ids, sa.BindParameter)
    each = sa.bindparam(ids.key, type_=sa.BigInteger, expanding=True)
    if not ids.required:
        each.value, each.required = ids.value, False
    return compiler.process(column.in_(each), **options)


class _FoundBy(_Condition):
    inherit_cache = True


def found_by(column: sa.ColumnElement[int], query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """True for rows whose `column` is one of the few ids that `query` finds."""
    return _FoundBy(column, query.scalar_subquery())


@compiles(_FoundBy, "postgresql")
def _found_by_postgresql(element: _FoundBy, compiler: SQLCompiler, **options: Any) -> str:
    column, query = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{query})"


@compiles(_FoundBy, "sqlite")
def _found_by_sqlite(element: _FoundBy, compiler: SQLCompiler, **options: Any) -> str:
    column, query = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {query}"
