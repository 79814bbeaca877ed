"""Hot statements: written with SQLAlchemy Core, compiled once per dialect, handed to the driver without further ado.

Core's own way from statement to driver costs more per row than the database does; this keeps its SQL and its types.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from engine.store.database import Transaction

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    positions: tuple[str, ...] | None
    """The order of the values, where the driver takes them by position."""
    convert: dict[str, Callable[[Any], Any]]
    constants: Row
    """Values that stand in the statement itself, already in the driver's form."""


class Prepared:
    """A statement whose values are all bind parameters; `run` executes it for many rows at once."""

    def __init__(self, statement: sa.Insert | sa.Update) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Execute for every row. Nothing happens without rows."""
        if not rows:
            return
        dialect = tx.connection.dialect
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        seen: dict[Any, Any] = {}  # one moment stands in many rows: convert it once
        values: list[Any] = []
        for row in rows:
            for name, convert in compiled.convert.items():
                before = row[name]
                if before is not None:
                    row[name] = seen[before] if before in seen else seen.setdefault(before, convert(before))
            row.update(compiled.constants)
            values.append(tuple(row[name] for name in compiled.positions) if compiled.positions else row)
        tx.connection.exec_driver_sql(compiled.sql, values)

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled = self._statement.compile(dialect=dialect)
        positions: Sequence[str] | None = getattr(compiled, "positiontup", None)
        convert: dict[str, Callable[[Any], Any]] = {}
        constants: Row = {}
        for name, bind in compiled.binds.items():
            processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if not bind.required:
                value = bind.effective_value
                constants[name] = processor(value) if processor and value is not None else value
            elif processor is not None:
                convert[name] = processor
        done = _Compiled(str(compiled), tuple(positions) if positions else None, convert, constants)
        self._compiled[dialect.name] = done
        return done
