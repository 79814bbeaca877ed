"""What holds for the platform as a whole, whichever process asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from engine.errors import Unavailable
from engine.store.database import Transaction
from engine.store.tables import platform_facts as facts
from engine.store.upsert import insert

PAUSED: Final = "claiming-paused"
_KEY: Final = "secret-key"


@dataclass(frozen=True, slots=True)
class Fact:
    """Who made something hold, when, and why."""

    actor: str
    at: datetime
    reason: str = ""


def put(tx: Transaction, name: str, *, actor: str, reason: str = "", value: object = None) -> bool:
    """Make a fact hold; False when it held already, and stays as it was."""
    row = insert(facts, postgresql=tx.postgresql).values(
        name=name, value=value or {}, reason=reason, changed_at=tx.now, changed_by=actor
    )
    return bool(tx.connection.execute(row.on_conflict_do_nothing().returning(facts.c.name)).all())


def drop(tx: Transaction, name: str) -> bool:
    """The fact holds no longer; False when it did not hold."""
    return bool(tx.connection.execute(sa.delete(facts).where(facts.c.name == name)).rowcount)


def get(tx: Transaction, name: str) -> Fact | None:
    row = tx.connection.execute(sa.select(facts).where(facts.c.name == name)).one_or_none()
    return None if row is None else Fact(row.changed_by, row.changed_at, row.reason)


def holds(name: str) -> sa.Exists:
    """For a condition of another statement."""
    return sa.exists().where(facts.c.name == sa.literal_column(f"'{name}'"))


def check_key(tx: Transaction) -> None:
    """Remember which secret key this database is sealed with. Raises Unavailable when it was made with another one."""
    mark = tx.sealer.fingerprint(b"innominatus secret key")
    if put(tx, _KEY, actor="system", value={"fingerprint": mark}):
        return
    value: Any = tx.connection.execute(sa.select(facts.c.value).where(facts.c.name == _KEY)).scalar_one()
    if value["fingerprint"] != mark:
        raise Unavailable(
            "The secret key of this process is not the one that the database was made with.",
            code="wrong_secret_key",
            hint="Start with the INNOMINATUS_SECRET_KEY (or the file secret.key) of the other processes.",
        )
