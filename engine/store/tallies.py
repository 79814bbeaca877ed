"""How many events of each kind there ever were, also of those that are no longer kept.

Counting them all would cost more with every day. Events that have settled are counted once, into `event_tallies`;
whoever asks adds the few that came since.
"""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from engine.store.database import Transaction
from engine.store.tables import event_tallies as tallies
from engine.store.tables import events
from engine.store.upsert import insert

_MARK: Final = ""
"""The row whose count is no count: the id up to which events are in the tallies."""
_SETTLED = timedelta(seconds=60)
"""By then every transaction has ended that may still bring an event with a lower id."""
_COUNTED = sa.func.coalesce(sa.select(tallies.c.count).where(tallies.c.kind == _MARK).scalar_subquery(), 0)


def counted_up_to(tx: Transaction) -> int:
    """The id of the newest event in the tallies: events up to here may be removed and are not forgotten."""
    return tx.connection.execute(sa.select(_COUNTED)).scalar_one()


def totals(tx: Transaction) -> dict[str, int]:
    """How many events of each kind there ever were; one statement, so that nothing is counted twice."""
    kept = sa.select(tallies.c.kind, tallies.c.count).where(tallies.c.kind != _MARK)
    since = sa.select(events.c.kind, sa.func.count()).where(events.c.id > _COUNTED).group_by(events.c.kind)
    both = kept.union_all(since).subquery()
    query = sa.select(both.c.kind, sa.func.sum(both.c.count)).group_by(both.c.kind)
    return {row[0]: int(row[1]) for row in tx.connection.execute(query)}


def fold(tx: Transaction, *, limit: int, settled: timedelta = _SETTLED) -> int:
    """Count up to `limit` more events into the tallies; returns how many. Two who do so at once take turns."""
    mark = sa.select(tallies.c.count).where(tallies.c.kind == _MARK)
    up_to = tx.connection.execute(mark.with_for_update(skip_locked=True) if tx.postgresql else mark).scalar()
    if up_to is None:  # the first time, or another is at it
        row = insert(tallies, postgresql=tx.postgresql).values(kind=_MARK, count=0).on_conflict_do_nothing()
        if tx.connection.execute(mark).scalar() is None:
            tx.connection.execute(row)
        return 0
    following = (
        sa.select(events.c.id, events.c.kind, events.c.at)
        .where(events.c.id > up_to)
        .order_by(events.c.id)
        .limit(limit)
        .cte("following")
    )
    fresh = sa.select(sa.func.min(following.c.id)).where(following.c.at > tx.now - settled).scalar_subquery()
    old = sa.or_(fresh.is_(None), following.c.id < fresh)
    query = sa.select(following.c.kind, sa.func.count(), sa.func.max(following.c.id)).where(old)
    found = tx.connection.execute(query.group_by(following.c.kind)).all()
    if not found:
        return 0
    rows = [{"kind": row[0], "count": row[1]} for row in sorted(found)]
    more = insert(tallies, postgresql=tx.postgresql)
    added = {"count": tallies.c.count + more.excluded.count}
    tx.connection.execute(more.on_conflict_do_update(index_elements=["kind"], set_=added), rows)
    newest = max(row[2] for row in found)
    tx.connection.execute(sa.update(tallies).where(tallies.c.kind == _MARK).values(count=newest))
    return sum(row[1] for row in found)
