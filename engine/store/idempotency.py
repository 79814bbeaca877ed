"""Idempotency keys: the same request gets the same handle for 24 hours, another request under the key is a conflict."""

from typing import Any

import sqlalchemy as sa

from engine.domain.values import JsonObject
from engine.errors import Conflict
from engine.store.database import Transaction
from engine.store.tables import idempotency_keys as keys


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


def keep(tx: Transaction, actor: str, operation: str, key: str, *, fingerprint: str, handle: JsonObject) -> bool:
    """Keep the handle; False when another transaction kept one first (then nothing of this one may be committed)."""
    if tx.postgresql:
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    statement: Any = insert(keys).values(
        actor=actor, operation=operation, key=key, fingerprint=fingerprint, handle=handle, created_at=tx.now
    )
    return bool(tx.connection.execute(statement.on_conflict_do_nothing()).rowcount)
