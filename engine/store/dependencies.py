"""Which resource waits for which. An edge points from the dependant to what it depends on."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from engine.domain.values import ResourceId
from engine.store.among import among
from engine.store.bulk import insert_rows
from engine.store.database import Transaction
from engine.store.tables import resource_dependencies as edges

_CHUNK = 500
_FROM, _TO = edges.c.resource_id, edges.c.depends_on_id
_STARTS, _ENDS = among(_FROM, "ids"), among(_TO, "ids")
_UNMET, _STALE, _LIVE = edges.c.unmet.is_(sa.true()), edges.c.stale.is_(sa.true()), edges.c.stale.is_(sa.false())


def _chunks(ids: Iterable[ResourceId]) -> list[list[ResourceId]]:
    ordered = sorted(set(ids))
    return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]


def replace(
    tx: Transaction,
    wanted: Mapping[ResourceId, Collection[tuple[ResourceId, bool]]],
    *,
    new: Collection[ResourceId] = (),
) -> set[tuple[ResourceId, ResourceId]]:
    """Write the edges of each dependant as (depends on, unmet); returns (dependant, depends on) that hold no more.

    The `new` dependants have none yet.
    """
    old = set(dependencies(tx, wanted.keys() - new))
    for chunk in _chunks({resource_id for resource_id, _ in old}):
        tx.connection.execute(_DROP, {"ids": chunk})
    rows = [
        _edge(resource_id, target, unmet=unmet)
        for resource_id, targets in sorted(wanted.items())
        for target, unmet in sorted(targets)
    ]
    insert_rows(tx, edges, rows)
    return old - {(resource_id, target) for resource_id, targets in wanted.items() for target, _ in targets}


def keep_stale(tx: Transaction, pairs: Iterable[tuple[ResourceId, ResourceId]]) -> None:
    """Edges (dependant, depends on) that were dropped hold until the dependant's next success.

    One that would close a circle is let go: nothing in a circle could ever be deleted.
    """
    ordered = sorted(set(pairs))
    below = _below(tx, {target for _, target in ordered})
    rows: list[dict[str, object]] = []
    for resource_id, target in ordered:
        if not _leads_to(below, target, resource_id):
            rows.append(_edge(resource_id, target, stale=True))
            below.setdefault(resource_id, set()).add(target)
    insert_rows(tx, edges, rows)


def _edge(
    resource_id: ResourceId, target: ResourceId, *, unmet: bool = False, stale: bool = False
) -> dict[str, object]:
    return {"resource_id": resource_id, "depends_on_id": target, "unmet": unmet, "stale": stale}


def closure_of_dependencies(tx: Transaction, ids: Collection[ResourceId]) -> set[ResourceId]:
    """Everything that `ids` depend on, directly or not, stale edges included."""
    return {target for targets in _below(tx, ids).values() for target in targets}


def _below(tx: Transaction, ids: Collection[ResourceId]) -> dict[ResourceId, set[ResourceId]]:
    """What `ids` depend on, what that depends on, and so forth, per dependant."""
    found: dict[ResourceId, set[ResourceId]] = {}
    seen = frontier = set(ids)
    while frontier:
        pairs = dependencies(tx, frontier)
        for resource_id, target in pairs:
            found.setdefault(resource_id, set()).add(target)
        frontier = {target for _, target in pairs} - seen
        seen = seen | frontier
    return found


def _leads_to(below: Mapping[ResourceId, Collection[ResourceId]], start: ResourceId, goal: ResourceId) -> bool:
    seen = {start}
    left = [start]
    while left:
        for target in below.get(left.pop(), ()):
            if target == goal:
                return True
            if target not in seen:
                seen.add(target)
                left.append(target)
    return False


class Edge(NamedTuple):
    """One resource depends on another."""

    dependant: ResourceId
    target: ResourceId
    unmet: bool
    stale: bool


def around(tx: Transaction, ids: Collection[ResourceId]) -> list[Edge]:
    """Every edge that starts or ends in `ids`, stale ones included; one between two of them comes twice."""
    found: list[Edge] = []
    for chunk in _chunks(ids):
        rows = tx.connection.execute(_AROUND, {"ids": chunk})
        found += [Edge(ResourceId(a), ResourceId(b), unmet, stale) for a, b, unmet, stale in rows]
    return found


_AROUND = sa.union_all(
    *(sa.select(_FROM, _TO, edges.c.unmet, edges.c.stale).where(its_own) for its_own in (_STARTS, _ENDS))
)


def dependants(
    tx: Transaction, ids: Iterable[ResourceId], *, unmet_only: bool = False
) -> list[tuple[ResourceId, ResourceId]]:
    """Edges (dependant, depends on) that end in `ids`, stale ones left out."""
    found: list[tuple[ResourceId, ResourceId]] = []
    for chunk in _chunks(ids):
        rows = tx.connection.execute(_UNMET_DEPENDANTS if unmet_only else _DEPENDANTS, {"ids": chunk})
        found += [(ResourceId(a), ResourceId(b)) for a, b in rows]
    return found


_DEPENDANTS = sa.select(_FROM, _TO).where(_ENDS, _LIVE)
_UNMET_DEPENDANTS = _DEPENDANTS.where(_UNMET)


def dependencies(tx: Transaction, ids: Iterable[ResourceId]) -> list[tuple[ResourceId, ResourceId]]:
    """Edges (dependant, depends on) that start in `ids`, stale ones included."""
    found: list[tuple[ResourceId, ResourceId]] = []
    for chunk in _chunks(ids):
        found += [(ResourceId(a), ResourceId(b)) for a, b in tx.connection.execute(_DEPENDENCIES, {"ids": chunk})]
    return found


_DEPENDENCIES = sa.select(_FROM, _TO).where(_STARTS)


def waiting_for_others(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Those of `ids` that have an unmet dependency."""
    found: set[ResourceId] = set()
    for chunk in _chunks(ids):
        found |= {ResourceId(value) for value in tx.connection.execute(_WAITING, {"ids": chunk}).scalars()}
    return found


_WAITING = sa.select(_FROM).where(_STARTS, _UNMET).distinct()


def needed_by_others(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Those of `ids` that something still depends on: they cannot be deleted yet."""
    found: set[ResourceId] = set()
    for chunk in _chunks(ids):
        found |= {ResourceId(value) for value in tx.connection.execute(_NEEDED, {"ids": chunk}).scalars()}
    return found


_NEEDED = sa.select(_TO).where(_ENDS).distinct()


def mark_met(tx: Transaction, ids: Iterable[ResourceId]) -> None:
    """Nobody waits for these any more."""
    for chunk in _chunks(ids):
        tx.connection.execute(_MARK_MET, {"ids": chunk})


_MARK_MET = sa.update(edges).where(_ENDS, _UNMET).values(unmet=sa.false())


def mark_unmet(tx: Transaction, pairs: Iterable[tuple[ResourceId, ResourceId]]) -> None:
    """The dependant of each (dependant, depends on) waits for the other again; stale edges are nothing to wait for."""
    rows = [{"b_from": a, "b_to": b} for a, b in sorted(pairs)]
    if rows:
        tx.connection.execute(_MARK_UNMET, rows)


_MARK_UNMET = (
    sa.update(edges).where(sa.bindparam("b_from") == _FROM, sa.bindparam("b_to") == _TO, _LIVE).values(unmet=sa.true())
)


def drop_stale(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """End the stale edges that start in `ids`; returns what they pointed to."""
    targets: set[ResourceId] = set()
    for chunk in _chunks(ids):
        found = tx.connection.execute(_STALE_TARGETS, {"ids": chunk}).scalars().all()
        targets |= {ResourceId(value) for value in found}
        if found:
            tx.connection.execute(_DROP_STALE, {"ids": chunk})
    return targets


_STALE_TARGETS = sa.select(_TO).where(_STARTS, _STALE)
_DROP_STALE = sa.delete(edges).where(_STARTS, _STALE)


def drop_from(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """The resources in `ids` are gone: they depend on nothing any more. Returns what they depended on."""
    targets = {target for _, target in dependencies(tx, ids)}
    for chunk in _chunks(ids):
        tx.connection.execute(_DROP, {"ids": chunk})
    return targets


_DROP = sa.delete(edges).where(_STARTS)


def closure_of_dependants(tx: Transaction, ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Everything that waits for `ids`, directly or not (unmet edges only), without `ids`."""
    seen: set[ResourceId] = set(ids)
    frontier = set(seen)
    while frontier:
        frontier = {dependant for dependant, _ in dependants(tx, frontier, unmet_only=True)} - seen
        seen |= frontier
    return seen - set(ids)
