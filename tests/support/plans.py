"""What a database means to do for the statements that a piece of code sends."""

import json
import re
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import CacheStats

from engine.store.database import Store, Transaction


@dataclass(frozen=True)
class Sent:
    """One statement as the driver was given it."""

    text: str
    values: Any
    anew: bool = False
    """Whether it was made of its parts for this one time: nothing can be kept for the next."""


@contextmanager
def recording(store: Store) -> Generator[list[Sent]]:
    sent: list[Sent] = []

    def noted(*told: Any) -> None:
        text, values, context, many = told[2:6]
        if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE|INSERT)", text):
            anew = context.compiled is not None and context.cache_hit is CacheStats.NO_CACHE_KEY
            whole = not many or not isinstance(values[0], (tuple, dict))  # many rows may be one statement
            sent.append(Sent(text, values if whole else values[0], anew))

    event.listen(store.engine, "before_cursor_execute", noted)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", noted)


def sent_by(store: Store, call: Callable[[Transaction], object]) -> list[Sent]:
    """The statements of `call`; nothing of it stays."""
    with recording(store) as sent, suppress(_Enough), store.begin() as tx:
        call(tx)
        for late in tx.before_commit:
            late()
        raise _Enough
    return sent


class _Enough(Exception):
    """Rolls back."""


def plan(store: Store, sent: Sent) -> str:
    """As people read it."""
    postgresql = store.engine.dialect.name == "postgresql"
    with store.read() as tx:
        explain = "EXPLAIN (COSTS OFF) " if postgresql else "EXPLAIN QUERY PLAN "
        found = tx.connection.exec_driver_sql(explain + sent.text, sent.values).all()
    return "\n".join(str(row[0] if postgresql else row[3]) for row in found)


def scans(store: Store, sent: Sent, *, partial: Collection[str]) -> list[str]:
    """What of the plan reads a whole table or a whole index that holds history. `partial` indexes hold none."""
    explain = "EXPLAIN (FORMAT JSON) " if store.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with store.read() as tx:
        found = tx.connection.exec_driver_sql(explain + sent.text, sent.values).all()
    if store.engine.dialect.name == "postgresql":
        plan = found[0][0]
        root = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
        return list(_postgres_scans(root, frozenset(partial), limited=False))
    return [line for row in found if _sqlite_scan(line := str(row[3]), partial)]


def _postgres_scans(node: dict[str, Any], partial: frozenset[str], *, limited: bool) -> Iterator[str]:
    kind = node["Node Type"]
    if kind == "Seq Scan":
        yield f"Seq Scan on {node['Relation Name']}"
    whole = kind in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"} and "Index Cond" not in node
    if whole and not limited and node["Index Name"] not in partial:
        yield f"whole {node['Index Name']}"
    for child in cast("list[dict[str, Any]]", node.get("Plans", [])):
        below = limited or kind == "Limit"
        yield from _postgres_scans(child, partial, limited=below and kind not in {"Sort", "Aggregate", "Hash"})


_MADE = re.compile(r"(part\d|running|following|anon_\d+|\(.*|CONSTANT|json_each)")
"""What a statement has made itself."""


def _sqlite_scan(line: str, partial: Collection[str]) -> bool:
    found = re.match(r"SCAN (\S+)(?: USING (?:COVERING )?INDEX (\S+))?", line)
    return bool(found) and not _MADE.match(found[1]) and found[2] not in partial


def analyse(store: Store) -> None:
    """As the database does by itself from time to time."""
    with store.begin() as tx:
        tx.connection.execute(sa.text("ANALYZE"))
