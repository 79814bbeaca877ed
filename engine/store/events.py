"""The timeline: written with its effect, in the same transaction, and read in the order of the commits.

On PostgreSQL ids are taken before the commit, so that an event can appear behind one with a higher id. Readers go by
(transaction, id), and only as far as the oldest transaction that is still open: nothing can appear before that any
more. A transaction that stays open after it has written something, anywhere on that server, holds them back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from engine.domain.event import BEGINNING, EVERYTHING, Event, Position, Wanted
from engine.domain.resource import ResourceState
from engine.domain.values import ApplicationId, EventId, ExecutionId, ResourceId
from engine.store.bulk import insert_rows
from engine.store.database import Transaction
from engine.store.tables import events

_PLACE = sa.tuple_(events.c.xact, events.c.id)
_ORDER = (events.c.xact, events.c.id)
_NEWEST_FIRST = (events.c.xact.desc(), events.c.id.desc())


def record(tx: Transaction, facts: Iterable[Event]) -> None:
    """Put facts into the timeline. They are written together, as the transaction is about to commit."""
    rows = [
        {
            "at": tx.now,
            "kind": fact.kind,
            "actor": fact.actor,
            "application_id": fact.application_id,
            "resource_id": fact.resource_id,
            "execution_id": fact.execution_id,
            "data": fact.data,
        }
        for fact in facts
    ]
    if rows and not tx.facts:
        tx.before_commit.append(lambda: insert_rows(tx, events, tx.facts))
    tx.facts.extend(rows)


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader finds behind its position. `reached` is how far nothing can be missing."""

    events: tuple[Event, ...]
    reached: Position
    more: bool = False
    """There are more, readable now."""
    held_back: bool = False
    """There are more, which wait for a transaction that began before theirs."""


def read(tx: Transaction, after: Position, *, wanted: Wanted = EVERYTHING, limit: int = 100) -> Read:
    """The next events behind `after`, oldest first, of those whose place in the order is final."""
    query = _wanted(sa.select(events, _settled(tx).label("settled")), wanted).where(tuple(after) < _PLACE)
    rows = tx.connection.execute(query.order_by(*_ORDER).limit(limit + 1)).all()
    settled = [row for row in rows if row.settled]
    found = tuple(_event(row) for row in settled[:limit])
    reached = found[-1].position if found else after
    return Read(found, reached, more=len(settled) > limit, held_back=len(settled) < len(rows))


def newest(tx: Transaction) -> Position:
    """The end of the timeline, as far as it is final."""
    query = sa.select(*_ORDER).where(_settled(tx)).order_by(*_NEWEST_FIRST).limit(1)
    row = tx.connection.execute(query).one_or_none()
    return BEGINNING if row is None else Position(*row)


def known(tx: Transaction, position: Position) -> Position:
    """The position; one that this server has not come to yet was given out before the timeline was restored here."""
    if not tx.postgresql or not position.xact:
        return position
    ahead = tx.connection.execute(sa.select(sa.literal(position.xact, sa.BigInteger) >= _now("xmax"))).scalar_one()
    return Position(0, position.id) if ahead else position


def position_of(tx: Transaction, event_id: int) -> Position:
    """Where the event with that id stands, or the last one before it."""
    query = sa.select(*_ORDER).where(events.c.id <= event_id).order_by(events.c.id.desc()).limit(1)
    row = tx.connection.execute(query).one_or_none()
    return BEGINNING if row is None else Position(*row)


def listed(
    tx: Transaction,
    *,
    wanted: Wanted = EVERYTHING,
    resource_id: ResourceId | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> list[Event]:
    """What is on record now, to be shown. Not to be continued from: an event may still appear before the last one."""
    query = _wanted(sa.select(events), wanted)
    if resource_id is not None:
        query = query.where(events.c.resource_id == resource_id)
    query = query.order_by(*(_NEWEST_FIRST if newest_first else _ORDER)).limit(limit)
    return [_event(row) for row in tx.connection.execute(query)]


def newest_error(tx: Transaction, resource_id: ResourceId) -> str:
    """What was told when the resource failed the last time; empty when it never did, or that is forgotten."""
    failed = sa.and_(events.c.resource_id == resource_id, events.c.kind == f"resource.{ResourceState.FAILED.value}")
    query = sa.select(events.c.data).where(failed).order_by(events.c.id.desc()).limit(1)
    data = tx.connection.execute(query).scalar()
    return str(data.get("error") or "") if data else ""


def mend_order(tx: Transaction) -> bool:
    """Take up a timeline that came from another server, whose count of transactions was ahead; False if it is ours.

    What is there keeps the order of its ids: nothing else is known of it any more.
    """
    if not tx.postgresql:
        return False
    ahead = sa.select(sa.func.max(events.c.xact) >= _now("xmax")).scalar_subquery()
    if not tx.connection.execute(sa.select(ahead)).scalar():
        return False
    tx.connection.execute(sa.update(events).values(xact=0))
    return True


def _wanted(query: sa.Select[Any], wanted: Wanted) -> sa.Select[Any]:
    if wanted.application_id is not None:
        query = query.where(events.c.application_id == wanted.application_id)
    if wanted.kinds:
        named = [events.c.kind == kind for kind in wanted.kinds]
        query = query.where(
            sa.or_(*named, *(events.c.kind.startswith(f"{kind}.", autoescape=True) for kind in wanted.kinds))
        )
    return query


def _settled(tx: Transaction) -> sa.ColumnElement[bool]:
    """Whether nothing can appear before the event any more: on PostgreSQL, all transactions up to its own are over."""
    return events.c.xact < _now("xmin") if tx.postgresql else sa.literal(value=True)


def _now(end: str) -> sa.ColumnElement[int]:
    return sa.literal_column(f"(pg_snapshot_{end}(pg_current_snapshot())::text)::bigint", sa.BigInteger)


def _event(row: Any) -> Event:
    return Event(
        kind=row.kind,
        actor=row.actor,
        application_id=None if row.application_id is None else ApplicationId(row.application_id),
        resource_id=None if row.resource_id is None else ResourceId(row.resource_id),
        execution_id=None if row.execution_id is None else ExecutionId(row.execution_id),
        data=row.data,
        id=EventId(row.id),
        at=row.at,
        position=Position(row.xact, row.id),
    )
