"""Provider bundles by digest, and which set of them is active."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from engine.domain.graph import NodeKind
from engine.domain.provider import Provider
from engine.store import graph
from engine.store.database import Transaction
from engine.store.tables import RESOURCE_STANDING, executions, provider_bundles, provider_generations, resources
from engine.store.upsert import insert


def activate(tx: Transaction, providers: Sequence[Provider], archives: Mapping[str, bytes]) -> int:
    """Keep the bundles and make this set the active one; returns its generation, the old one for the same set.

    Its providers stand in the graph from now on: submissions that came at once would wait for the first to draw them.
    """
    graph.ensure_nodes(tx, {(NodeKind.PROVIDER, provider.name): provider.name for provider in providers})
    digests = [provider.digest for provider in providers]
    query = sa.select(provider_bundles.c.digest).where(provider_bundles.c.digest.in_(digests))
    query = query.order_by(provider_bundles.c.digest).with_for_update()  # in order: several may start at once
    known = set(tx.connection.execute(query).scalars())
    tx.connection.execute(
        sa.update(provider_bundles).where(provider_bundles.c.digest.in_(known)).values(created_at=tx.now)
    )
    rows = [
        {"digest": p.digest, "name": p.name, "version": p.version, "archive": archives[p.digest], "created_at": tx.now}
        for p in providers
        if p.digest not in known
    ]
    if rows:
        tx.connection.execute(insert(provider_bundles, postgresql=tx.postgresql).on_conflict_do_nothing(), rows)
    newest = active(tx)
    if newest is not None and newest[1] == sorted(digests):
        return newest[0]
    made = sa.insert(provider_generations).values(digests=sorted(digests), created_at=tx.now)
    return tx.connection.execute(made.returning(provider_generations.c.id)).scalar_one()


def active(tx: Transaction) -> tuple[int, list[str]] | None:
    """The newest generation and its digests, sorted; None before the first."""
    query = sa.select(provider_generations).order_by(provider_generations.c.id.desc()).limit(1)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else (row.id, sorted(row.digests))


def get(tx: Transaction, digest: str) -> bytes | None:
    query = sa.select(provider_bundles.c.archive).where(provider_bundles.c.digest == digest)
    return tx.connection.execute(query).scalar_one_or_none()


def drop_unused(tx: Transaction, *, before: datetime, trial: bool) -> dict[str, int]:
    """Remove sets of providers that others took the place of before then, and the bundles that only those had.

    A bundle that a resource that stands or an execution on record was made with is kept, and one that a process has
    started with since.
    """
    newer = provider_generations.alias("newer")
    over = sa.exists().where(newer.c.id > provider_generations.c.id, newer.c.created_at < before)
    sets = tx.connection.execute(sa.select(provider_generations, over.label("over"))).all()
    old = [row.id for row in sets if row.over]
    needed = {digest for row in sets if not row.over for digest in row.digests}
    query = sa.select(provider_bundles.c.digest).where(
        provider_bundles.c.created_at < before,
        provider_bundles.c.digest.not_in(needed),
        ~sa.exists().where(resources.c.digest == provider_bundles.c.digest, RESOURCE_STANDING),
        ~sa.exists().where(executions.c.digest == provider_bundles.c.digest),
    )
    unused = list(tx.connection.execute(query.with_for_update(skip_locked=True)).scalars())
    if not trial:
        tx.connection.execute(sa.delete(provider_generations).where(provider_generations.c.id.in_(old)))
        tx.connection.execute(sa.delete(provider_bundles).where(provider_bundles.c.digest.in_(unused)))
    return {"provider_generations": len(old), "provider_bundles": len(unused)}
