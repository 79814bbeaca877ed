"""Idempotency keys: the same request gets the same handle for 24 hours, another request under the key is a conflict."""

import sqlalchemy as sa

from engine.domain.values import JsonObject
from engine.errors import Conflict
from engine.store.database import Transaction
from engine.store.tables import idempotency_keys as keys
from engine.store.upsert import insert


def find(tx: Transaction, actor: str, operation: str, key: str, *, fingerprint: str) -> JsonObject | None:
    """The handle kept for this request. Raises Conflict when the key was used for another one."""
    row = tx.connection.execute(
        sa.select(keys).where(keys.c.actor == actor, keys.c.operation == operation, keys.c.key == key)
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise Conflict(
            f"The idempotency key `{key}` was used for another {operation} within the last 24 hours.",
            code="idempotency_key_reused",
            hint="Use a new key for a new request.",
        )
    return row.handle


def reserve(tx: Transaction, actor: str, operation: str, key: str, *, fingerprint: str) -> bool:
    """Take the key for this transaction; False when another one had it first. Waits for one that has it now."""
    statement = insert(keys, postgresql=tx.postgresql).values(
        actor=actor, operation=operation, key=key, fingerprint=fingerprint, handle={}, created_at=tx.now
    )
    # The row count of an INSERT is not to be relied on; a returned row is.
    return tx.connection.execute(statement.on_conflict_do_nothing().returning(keys.c.key)).one_or_none() is not None


def keep(tx: Transaction, actor: str, operation: str, key: str, *, handle: JsonObject) -> None:
    """Keep the handle under the key that this transaction has reserved."""
    mine = sa.and_(keys.c.actor == actor, keys.c.operation == operation, keys.c.key == key)
    tx.connection.execute(sa.update(keys).where(mine).values(handle=handle))
