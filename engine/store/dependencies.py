"""Which resource waits for which. An edge points from the dependant to what it depends on."""

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from engine.domain.values import ResourceId
from engine.store.database import Transaction
from engine.store.tables import resource_dependencies as edges

_CHUNK = 500


def _chunks(ids: Iterable[ResourceId]) -> list[list[ResourceId]]:
    ordered = sorted(set(ids))
    return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]


def replace(
    tx: Transaction,
    resource_id: ResourceId,
    wanted: Sequence[tuple[ResourceId, bool]],
    *,
    keep_stale: Collection[ResourceId] = (),
) -> None:
    """Write the edges of one dependant as (depends on, unmet); old ones to `keep_stale` hold until its next success."""
    old = set(
        tx.connection.execute(sa.select(edges.c.depends_on_id).where(edges.c.resource_id == resource_id)).scalars()
    )
    stale = sorted((old & set(keep_stale)) - {target for target, _ in wanted})
    if old:
        tx.connection.execute(sa.delete(edges).where(edges.c.resource_id == resource_id))
    rows = [
        {"resource_id": resource_id, "depends_on_id": target, "unmet": unmet, "stale": False}
        for target, unmet in sorted(wanted)
    ]
    rows += [{"resource_id": resource_id, "depends_on_id": target, "unmet": False, "stale": True} for target in stale]
    if rows:
        tx.connection.execute(sa.insert(edges), rows)


def insert_new(tx: Transaction, rows: Sequence[tuple[ResourceId, ResourceId, bool]]) -> None:
    """Edges (dependant, depends on, unmet) of dependants that have none yet."""
    if rows:
        tx.connection.execute(
            sa.insert(edges),
            [{"resource_id": a, "depends_on_id": b, "unmet": unmet, "stale": False} for a, b, unmet in rows],
        )


def dependants(
    tx: Transaction, ids: Iterable[ResourceId], *, unmet_only: bool = False
) -> list[tuple[ResourceId, ResourceId]]:
    """Edges (dependant, depends on) that end in `ids`, stale ones left out."""
    found: list[tuple[ResourceId, ResourceId]] = []
    for chunk in _chunks(ids):
        query = sa.select(edges.c.resource_id, edges.c.depends_on_id).where(
            edges.c.depends_on_id.in_(chunk), edges.c.stale.is_(sa.false())
        )
        if unmet_only:
            query = query.where(edges.c.unmet.is_(sa.true()))
        found += [(ResourceId(a), ResourceId(b)) for a, b in tx.connection.execute(query)]
    return found


def dependencies(tx: Transaction, ids: Iterable[ResourceId]) -> list[tuple[ResourceId, ResourceId]]:
    """Edges (dependant, depends on) that start in `ids`, stale ones included."""
    found: list[tuple[ResourceId, ResourceId]] = []
    for chunk in _chunks(ids):
        query = sa.select(edges.c.resource_id, edges.c.depends_on_id).where(edges.c.resource_id.in_(chunk))
        found += [(ResourceId(a), ResourceId(b)) for a, b in tx.connection.execute(query)]
    return found


def waiting_for_others(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Those of `ids` that have an unmet dependency."""
    found: set[ResourceId] = set()
    for chunk in _chunks(ids):
        query = sa.select(edges.c.resource_id).where(edges.c.resource_id.in_(chunk), edges.c.unmet.is_(sa.true()))
        found |= {ResourceId(value) for value in tx.connection.execute(query.distinct()).scalars()}
    return found


def needed_by_others(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Those of `ids` that something still depends on: they cannot be deleted yet."""
    found: set[ResourceId] = set()
    for chunk in _chunks(ids):
        query = sa.select(edges.c.depends_on_id).where(edges.c.depends_on_id.in_(chunk))
        found |= {ResourceId(value) for value in tx.connection.execute(query.distinct()).scalars()}
    return found


def mark_met(tx: Transaction, ids: Iterable[ResourceId]) -> None:
    """Nobody waits for these any more."""
    for chunk in _chunks(ids):
        tx.connection.execute(
            sa.update(edges).where(edges.c.depends_on_id.in_(chunk), edges.c.unmet.is_(sa.true())).values(unmet=False)
        )


def mark_unmet(tx: Transaction, pairs: Iterable[tuple[ResourceId, ResourceId]]) -> None:
    """The dependant of each (dependant, depends on) waits for the other again."""
    statement = (
        sa.update(edges)
        .where(edges.c.resource_id == sa.bindparam("b_from"), edges.c.depends_on_id == sa.bindparam("b_to"))
        .values(unmet=True)
    )
    rows = [{"b_from": a, "b_to": b} for a, b in sorted(pairs)]
    if rows:
        tx.connection.execute(statement, rows)


def drop_stale(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """End the stale edges that start in `ids`; returns what they pointed to."""
    targets: set[ResourceId] = set()
    for chunk in _chunks(ids):
        where = sa.and_(edges.c.resource_id.in_(chunk), edges.c.stale.is_(sa.true()))
        found = tx.connection.execute(sa.select(edges.c.depends_on_id).where(where)).scalars().all()
        targets |= {ResourceId(value) for value in found}
        if found:
            tx.connection.execute(sa.delete(edges).where(where))
    return targets


def drop_from(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """The resources in `ids` are gone: they depend on nothing any more. Returns what they depended on."""
    targets = {target for _, target in dependencies(tx, ids)}
    for chunk in _chunks(ids):
        tx.connection.execute(sa.delete(edges).where(edges.c.resource_id.in_(chunk)))
    return targets


def closure_of_dependants(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Everything that waits for `ids`, directly or not (unmet edges only), without `ids`."""
    seen: set[ResourceId] = set(ids)
    frontier = set(seen)
    while frontier:
        frontier = {dependant for dependant, _ in dependants(tx, frontier, unmet_only=True)} - seen
        seen |= frontier
    return seen - set(ids)
