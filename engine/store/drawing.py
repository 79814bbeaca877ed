"""What a transaction draws into the graph: collected, and written together as it is about to commit."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.domain.graph import Drawing, EdgeKind, NodeKind, NodeRef
from engine.store.among import among
from engine.store.bulk import insert_numbered, insert_rows
from engine.store.database import Transaction
from engine.store.tables import graph_edges, graph_nodes

_CHUNK = 500
_Triple = tuple[int, EdgeKind, int]


def draw(tx: Transaction, drawing: Drawing) -> None:
    """The drawing holds once the transaction is committed. What several draw in one transaction counts together."""
    if not tx.drawings:
        tx.before_commit.append(lambda: draw_now(tx))
    tx.drawings.append(drawing)


def draw_now(tx: Transaction) -> None:
    """Write what is drawn: the nodes and edges that do not hold yet, and the end of the edges that hold no longer."""
    drawings = list(tx.drawings)
    tx.drawings.clear()
    if not drawings:
        return
    nodes = _drawn_nodes(tx, drawings)
    ids = nodes.ids
    edges = {(ids[a], kind, ids[b]) for one in drawings for a, kind, b in one.edges}
    sources = {(ids[ref], kind) for one in drawings for ref, kind in one.all_from}
    targets = {(ids[ref], kind) for one in drawings for ref, kind in one.all_to}
    have = _end_others(tx, nodes.made, edges, sources, targets)
    asked = {
        edge[0]
        for edge in edges - have
        if not nodes.made.intersection(edge) and edge[:2] not in sources and (edge[2], edge[1]) not in targets
    }
    have |= {triple for _, triple in _holding(tx, graph_edges.c.source_id, asked, EdgeKind)}
    rows = [
        {"kind": kind.value, "source_id": source, "target_id": target, "valid_from": tx.now}
        for source, kind, target in sorted(edges - have)
    ]
    insert_rows(tx, graph_edges, rows)


class _Nodes(NamedTuple):
    """The ids of nodes, and those of them that were made just now: no edge was at them before."""

    ids: dict[NodeRef, int]
    made: set[int]


def _drawn_nodes(tx: Transaction, drawings: Sequence[Drawing]) -> _Nodes:
    """The nodes that hold now; those missing are made, among them all that are new."""
    names = {ref: name for one in drawings for ref, name in one.nodes.items()}
    new = {ref for one in drawings for ref in one.new}
    ids: dict[NodeRef, int] = {}
    asked = sorted(ref for ref in names if ref not in new)
    for start in range(0, len(asked), _CHUNK):
        some = asked[start : start + _CHUNK]
        given = {"kinds": sorted({kind for kind, _ in some}), "refs": sorted({ref for _, ref in some})}
        found = {(NodeKind(row.kind), row.ref): int(row.id) for row in tx.connection.execute(_NAMED, given)}
        ids |= {ref: found[ref] for ref in some if ref in found}
    missing = [ref for ref in names if ref not in ids]
    rows = [{"kind": kind.value, "ref": ref, "name": names[kind, ref], "valid_from": tx.now} for kind, ref in missing]
    made = dict(zip(missing, insert_numbered(tx, graph_nodes, rows), strict=True))
    return _Nodes(ids | made, set(made.values()))


_NAMED = sa.select(graph_nodes.c.id, graph_nodes.c.kind, graph_nodes.c.ref).where(
    graph_nodes.c.kind.in_(sa.bindparam("kinds", expanding=True)),
    graph_nodes.c.ref.in_(sa.bindparam("refs", expanding=True)),
    graph_nodes.c.valid_to.is_(None),
)


def _end_others(
    tx: Transaction,
    made: Collection[int],
    edges: Collection[_Triple],
    sources: Collection[tuple[int, EdgeKind]],
    targets: Collection[tuple[int, EdgeKind]],
) -> set[_Triple]:
    """End the edges from `sources` and to `targets` that are not among `edges`; returns those that hold on."""
    have: set[_Triple] = set()
    over: set[int] = set()
    for column, pairs, place in ((graph_edges.c.source_id, sources, 0), (graph_edges.c.target_id, targets, 2)):
        asked = {node for node, _ in pairs} - set(made)
        for edge_id, triple in _holding(tx, column, asked, {kind for _, kind in pairs}):
            if triple in edges:
                have.add(triple)
            elif (triple[place], triple[1]) in pairs:
                over.add(edge_id)
    for ids in _chunks(over):
        tx.connection.execute(sa.update(graph_edges).where(among(graph_edges.c.id, ids)).values(valid_to=tx.now))
    return have


def _holding(
    tx: Transaction, column: sa.Column[Any], nodes: Collection[int], kinds: Collection[EdgeKind]
) -> Iterator[tuple[int, _Triple]]:
    """The edges of these kinds at these nodes, by their id."""
    names = sorted(kind.value for kind in kinds)
    for ids in _chunks(nodes):
        holds = sa.and_(among(column, ids), graph_edges.c.kind.in_(names), graph_edges.c.valid_to.is_(None))
        for row in tx.connection.execute(sa.select(graph_edges).where(holds)):
            yield row.id, (row.source_id, EdgeKind(row.kind), row.target_id)


def _chunks(ids: Collection[int]) -> list[list[int]]:
    ordered = sorted(ids)
    return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
