"""Provider bundles by digest, and which set of them is active."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from engine.domain.provider import Provider
from engine.store.database import Transaction
from engine.store.tables import provider_bundles, provider_generations


def activate(tx: Transaction, providers: Sequence[Provider], archives: Mapping[str, bytes]) -> int:
    """Keep the bundles and make this set the active one; returns its generation, the old one for the same set."""
    digests = [provider.digest for provider in providers]
    query = sa.select(provider_bundles.c.digest).where(provider_bundles.c.digest.in_(digests))
    known = set(tx.connection.execute(query).scalars())
    rows = [
        {"digest": p.digest, "name": p.name, "version": p.version, "archive": archives[p.digest], "created_at": tx.now}
        for p in providers
        if p.digest not in known
    ]
    if rows:
        tx.connection.execute(sa.insert(provider_bundles), rows)
    newest = active(tx)
    if newest is not None and newest[1] == sorted(digests):
        return newest[0]
    insert = sa.insert(provider_generations).values(digests=sorted(digests), created_at=tx.now)
    return tx.connection.execute(insert.returning(provider_generations.c.id)).scalar_one()


def active(tx: Transaction) -> tuple[int, list[str]] | None:
    """The newest generation and its digests, sorted; None before the first."""
    query = sa.select(provider_generations).order_by(provider_generations.c.id.desc()).limit(1)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else (row.id, sorted(row.digests))


def get(tx: Transaction, digest: str) -> bytes | None:
    query = sa.select(provider_bundles.c.archive).where(provider_bundles.c.digest == digest)
    return tx.connection.execute(query).scalar_one_or_none()
