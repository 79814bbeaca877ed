"""Hot statements for many rows: one round trip, compiled once per dialect, handed to the driver without further ado.

SQLAlchemy's own way from statement to driver costs more per row than the database does. SQLite gets its `executemany`;
PostgreSQL gets all rows as one JSON value and one statement over them, which costs a tenth of arrays in the driver.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from engine.store.database import Transaction
from engine.store.types import UtcDateTime, dump_json

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Ready:
    sql: str
    convert: dict[str, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class Bulk:
    """An insert of `values`, or, with `keys`, an update of the rows they name. Rows are dicts by column name.

    `adds` are columns raised by the row's value. `fixed` columns get the same value in every row: a text, or None.
    """

    table: sa.Table
    values: tuple[str, ...]
    keys: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    fixed: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    _ready: dict[str, _Ready] = field(default_factory=dict[str, _Ready])

    def run(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Write every row; nothing happens without rows."""
        if not rows:
            return
        dialect = tx.connection.dialect
        ready = self._ready.get(dialect.name)
        if ready is None:
            ready = self._ready[dialect.name] = self._compile(dialect)
        seen: dict[Any, Any] = {}  # one moment stands in many rows: convert it once
        columns = [self._column(name, rows, ready, seen) for name in self._names]
        values = zip(*columns, strict=True)
        if tx.postgresql:
            given = [dict(zip(self._names, row, strict=True)) for row in values]
            tx.connection.exec_driver_sql(ready.sql, {"rows": dump_json(given)})
        else:
            tx.connection.exec_driver_sql(ready.sql, list(values))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.values, *self.adds, *self.keys)

    def _column(self, name: str, rows: Sequence[Row], ready: _Ready, seen: dict[Any, Any]) -> list[Any]:
        convert = ready.convert.get(name)
        if convert is None:
            return [row[name] for row in rows]
        for row in rows:
            if (value := row[name]) is not None and value not in seen:
                seen[value] = convert(value)
        return [None if row[name] is None else seen[row[name]] for row in rows]

    def _compile(self, dialect: Dialect) -> _Ready:
        if dialect.name == "postgresql":
            convert = {n: form for n in self._names if (form := _JSON_FORMS.get(type(self._type(n)))) is not None}
            return _Ready(self._over_rows(dialect), convert)
        processors = {name: self._type(name).dialect_impl(dialect).bind_processor(dialect) for name in self._names}
        return _Ready(self._row_by_row(), {name: found for name, found in processors.items() if found is not None})

    def _type(self, name: str) -> sa.types.TypeEngine[Any]:
        return self.table.c[name].type

    def _real(self, name: str) -> str:
        """The column's name in the database, where it differs from ours."""
        return f'"{self.table.c[name].name}"'

    def _sets(self, value: Callable[[str], str]) -> str:
        changed = [f"{self._real(name)} = {value(name)}" for name in self.values]
        changed += [f"{self._real(name)} = {self.table.name}.{self._real(name)} + {value(name)}" for name in self.adds]
        changed += [f"{self._real(n)} = {'NULL' if text is None else _quoted(text)}" for n, text in self.fixed.items()]
        return ", ".join(changed)

    def _row_by_row(self) -> str:
        if not self.keys:
            columns = ", ".join(self._real(name) for name in self.values)
            marks = ", ".join("?" for _ in self.values)
            return f"INSERT INTO {self.table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our tables
        where = " AND ".join(f"{self._real(name)} = ?" for name in self.keys)
        sets = self._sets(lambda _: "?")
        return f"UPDATE {self.table.name} SET {sets} WHERE {where}"  # noqa: S608 - names of our tables

    def _over_rows(self, dialect: Dialect) -> str:
        """`given` has a column per name, under our name for it."""
        binary = {name for name in self._names if isinstance(self._type(name), sa.LargeBinary)}
        columns = ", ".join(
            f'"{name}" {"text" if name in binary else self._type(name).compile(dialect)}' for name in self._names
        )

        def value(name: str) -> str:
            return f"decode(given.\"{name}\", 'hex')" if name in binary else f'given."{name}"'

        given = f"json_to_recordset(%(rows)s::json) AS given({columns})"
        if not self.keys:
            targets = ", ".join(self._real(name) for name in self.values)
            values = ", ".join(value(name) for name in self.values)
            return f"INSERT INTO {self.table.name} ({targets}) SELECT {values} FROM {given}"  # noqa: S608 - as above
        where = " AND ".join(f"{self.table.name}.{self._real(name)} = {value(name)}" for name in self.keys)
        return f"UPDATE {self.table.name} SET {self._sets(value)} FROM {given} WHERE {where}"  # noqa: S608 - as above


_JSON_FORMS: dict[type[Any], Callable[[Any], Any]] = {UtcDateTime: datetime.isoformat, sa.LargeBinary: bytes.hex}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
