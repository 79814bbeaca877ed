"""Start-time fair queuing: who asks for a thousand runs does not keep the others waiting.

Every execution gets a tag when it is queued: one more than its application's last, but never behind the virtual time, which is
the tag of the newest claim. Workers claim by rising tag.
"""

from typing import Any

import sqlalchemy as sa

from engine.store.database import Transaction
from engine.store.tables import fair_queues

VIRTUAL_TIME = "*"


def _upsert(tx: Transaction) -> Any:
    if tx.postgresql:
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    return insert(fair_queues)


def take_tags(tx: Transaction, key: str, count: int) -> float:
    """The first of `count` consecutive tags for `key`."""
    query = sa.select(fair_queues.c.key, fair_queues.c.last_tag).where(fair_queues.c.key.in_([key, VIRTUAL_TIME]))
    tags: dict[str, float] = {row.key: row.last_tag for row in tx.connection.execute(query)}
    first = max(tags.get(key, 0.0), tags.get(VIRTUAL_TIME, 0.0)) + 1
    raise_to(tx, key, first + count - 1)
    return first


def raise_to(tx: Transaction, key: str, tag: float) -> None:
    """The last tag of `key` becomes `tag`, unless it is further on already."""
    insert = _upsert(tx).values(key=key, last_tag=tag)
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["key"],
            set_={"last_tag": insert.excluded.last_tag},
            where=fair_queues.c.last_tag < insert.excluded.last_tag,
        )
    )
