"""Start-time fair queuing: who asks for a thousand runs does not keep the others waiting.

Every execution gets a tag when it is queued: one more than its application's last, but never behind the virtual time,
which is the tag of the next execution in the queue. Workers claim by rising tag.
"""

from functools import lru_cache

import sqlalchemy as sa

from engine.store.database import Transaction
from engine.store.tables import EXECUTION_PENDING, executions, fair_queues
from engine.store.types import String, moment
from engine.store.upsert import insert

_NEXT = sa.select(sa.func.min(executions.c.fair_tag)).where(EXECUTION_PENDING)
_NEWEST = sa.select(sa.func.max(fair_queues.c.last_tag))
"""With nothing in the queue everybody starts level with whoever was served most."""


def take_tags(tx: Transaction, key: str, count: int) -> float:
    """The first of `count` consecutive tags for `key`."""
    given = {"b_key": key, "b_count": count, **tx.moment}
    last, now = tx.connection.execute(_take(postgresql=tx.postgresql), given).one()
    tx.knows(now)
    return last - count + 1


@lru_cache
def _take(*, postgresql: bool) -> sa.Executable:
    count = sa.bindparam("b_count", type_=sa.Float)
    virtual = sa.func.coalesce(_NEXT.scalar_subquery() - 1, _NEWEST.scalar_subquery(), 0.0)
    first = sa.select(sa.bindparam("b_key", type_=String), virtual + count)
    row = insert(fair_queues, postgresql=postgresql).from_select(["key", "last_tag"], first)
    behind = fair_queues.c.last_tag + count < row.excluded.last_tag
    tag = sa.case((behind, row.excluded.last_tag), else_=fair_queues.c.last_tag + count)
    statement = row.on_conflict_do_update(index_elements=["key"], set_={"last_tag": tag})
    return statement.returning(fair_queues.c.last_tag, moment())
