"""The timeline: written with its effect, in the same transaction."""

from collections.abc import Iterable

import sqlalchemy as sa

from engine.domain.event import Event
from engine.domain.values import ApplicationId, EventId, ExecutionId, ResourceId
from engine.store.database import Transaction
from engine.store.tables import events

_INSERT = sa.insert(events)


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
        tx.before_commit.append(lambda: tx.connection.execute(_INSERT, tx.facts))
    tx.facts.extend(rows)


def listed(
    tx: Transaction,
    *,
    application_id: ApplicationId | None = None,
    resource_id: ResourceId | None = None,
    execution_id: ExecutionId | None = None,
    kinds: tuple[str, ...] = (),
    after: int = 0,
    limit: int = 100,
    newest_first: bool = False,
) -> list[Event]:
    """Events with an id above `after`, oldest first unless `newest_first`."""
    query = sa.select(events).where(events.c.id > after).limit(limit)
    if application_id is not None:
        query = query.where(events.c.application_id == application_id)
    if resource_id is not None:
        query = query.where(events.c.resource_id == resource_id)
    if execution_id is not None:
        query = query.where(events.c.execution_id == execution_id)
    if kinds:
        query = query.where(events.c.kind.in_(kinds))
    query = query.order_by(events.c.id.desc() if newest_first else events.c.id)
    return [
        Event(
            kind=row.kind,
            actor=row.actor,
            application_id=None if row.application_id is None else ApplicationId(row.application_id),
            resource_id=None if row.resource_id is None else ResourceId(row.resource_id),
            execution_id=None if row.execution_id is None else ExecutionId(row.execution_id),
            data=row.data,
            id=EventId(row.id),
            at=row.at,
        )
        for row in tx.connection.execute(query)
    ]
