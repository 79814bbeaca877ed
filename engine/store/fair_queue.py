"""Start-time fair queuing: who asks for a thousand runs does not keep the others waiting.

Every execution gets a tag when it is queued: one more than its application's last, but never behind the virtual time,
which is the tag of the newest claim. Workers claim by rising tag.
"""

import sqlalchemy as sa

from engine.store.database import Transaction
from engine.store.tables import fair_queues
from engine.store.upsert import insert

VIRTUAL_TIME = "*"


def take_tags(tx: Transaction, key: str, count: int) -> float:
    """The first of `count` consecutive tags for `key`."""
    query = sa.select(fair_queues.c.key, fair_queues.c.last_tag).where(fair_queues.c.key.in_([key, VIRTUAL_TIME]))
    tags: dict[str, float] = {row.key: row.last_tag for row in tx.connection.execute(query)}
    first = max(tags.get(key, 0.0), tags.get(VIRTUAL_TIME, 0.0)) + 1
    raise_to(tx, key, first + count - 1)
    return first


def raise_to(tx: Transaction, key: str, tag: float) -> None:
    """The last tag of `key` becomes `tag`, unless it is further on already."""
    row = insert(tx, fair_queues).values(key=key, last_tag=tag)
    further_on = fair_queues.c.last_tag < row.excluded.last_tag
    tx.connection.execute(
        row.on_conflict_do_update(index_elements=["key"], set_={"last_tag": row.excluded.last_tag}, where=further_on)
    )
