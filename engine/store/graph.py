"""The graph: nodes and edges, each with the time from and to which it held."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from engine.domain.graph import Edge, EdgeKind, Graph, Node, NodeKind, NodeRef
from engine.store.bulk import insert_rows
from engine.store.database import Transaction
from engine.store.drawing import draw_now
from engine.store.tables import graph_edges, graph_nodes


def ensure_nodes(tx: Transaction, wanted: Mapping[NodeRef, str]) -> None:
    """Nodes (kind, ref) → name that many will point at; several processes may do this at once."""
    rows = [
        {"kind": kind.value, "ref": ref, "name": name, "valid_from": tx.now}
        for (kind, ref), name in sorted(wanted.items())
    ]
    insert_rows(tx, graph_nodes, rows, anew=True)


def end_nodes(tx: Transaction, nodes: Iterable[NodeRef]) -> None:
    """The nodes, and every edge at them, hold no longer."""
    draw_now(tx)
    by_kind: dict[NodeKind, list[str]] = {}
    for kind, ref in nodes:
        by_kind.setdefault(kind, []).append(ref)
    for kind, refs in sorted(by_kind.items()):
        query = sa.select(graph_nodes.c.id).where(
            graph_nodes.c.kind == kind.value, graph_nodes.c.ref.in_(sorted(refs)), graph_nodes.c.valid_to.is_(None)
        )
        ids = list(tx.connection.execute(query).scalars())
        for column in (graph_edges.c.source_id, graph_edges.c.target_id):
            for chunk in _chunks(ids):
                holds = sa.and_(column.in_(chunk), graph_edges.c.valid_to.is_(None))
                tx.connection.execute(sa.update(graph_edges).where(holds).values(valid_to=tx.now))
        tx.connection.execute(sa.update(graph_nodes).where(graph_nodes.c.id.in_(ids)).values(valid_to=tx.now))


def drop_nodes(tx: Transaction, kind: str, refs: Iterable[str]) -> None:
    """Remove the nodes, whether they hold or not, with every edge at them: what they stood for is forgotten."""
    wanted = sorted(set(refs))
    for start in range(0, len(wanted), 500):
        some = sa.and_(graph_nodes.c.kind == kind, graph_nodes.c.ref.in_(wanted[start : start + 500]))
        ids = sorted(tx.connection.execute(sa.select(graph_nodes.c.id).where(some)).scalars())
        for column in (graph_edges.c.source_id, graph_edges.c.target_id):
            tx.connection.execute(sa.delete(graph_edges).where(column.in_(ids)))
        tx.connection.execute(sa.delete(graph_nodes).where(graph_nodes.c.id.in_(ids)))


def drop_ended(tx: Transaction, *, before: datetime, limit: int, trial: bool) -> dict[str, int]:
    """Remove up to `limit` edges, and nodes without edges, that have not held since `before`; a `trial` counts all."""
    at_it = sa.or_(graph_edges.c.source_id == graph_nodes.c.id, graph_edges.c.target_id == graph_nodes.c.id)
    lasting = sa.or_(graph_edges.c.valid_to.is_(None), graph_edges.c.valid_to >= before)
    bare = ~sa.exists().where(at_it, lasting if trial else sa.true())
    rows: dict[str, int] = {}
    for table, more in ((graph_edges, sa.true()), (graph_nodes, bare)):
        query = sa.select(table.c.id).where(table.c.valid_to < before, more)
        if trial:
            rows[table.name] = tx.connection.execute(
                sa.select(sa.func.count()).select_from(query.subquery())
            ).scalar_one()
            continue
        some = query.order_by(table.c.valid_to).limit(limit).with_for_update(skip_locked=True)
        ids = sorted(tx.connection.execute(some).scalars())
        for chunk in _chunks(ids):
            tx.connection.execute(sa.delete(table).where(table.c.id.in_(chunk)))
        rows[table.name] = len(ids)
    return rows


_FOLLOWED = [EdgeKind.CONTAINS.value, EdgeKind.REQUIRES.value, EdgeKind.DEPENDS_ON.value]


def around(tx: Transaction, root: NodeRef, *, at: datetime | None = None) -> Graph:
    """What `root` contains, requires and depends on, and the workflows that provisioned it; now or at a moment."""

    def holds(table: sa.Table) -> sa.ColumnElement[bool]:
        if at is None:
            return table.c.valid_to.is_(None)
        return sa.and_(table.c.valid_from <= at, sa.or_(table.c.valid_to.is_(None), table.c.valid_to > at))

    def edges_where(condition: sa.ColumnElement[bool]) -> list[Edge]:
        query = sa.select(graph_edges).where(condition, holds(graph_edges))
        return [Edge(row.source_id, EdgeKind(row.kind), row.target_id) for row in tx.connection.execute(query)]

    start = sa.select(graph_nodes.c.id).where(
        graph_nodes.c.kind == root[0].value, graph_nodes.c.ref == root[1], holds(graph_nodes)
    )
    seen: set[int] = set(tx.connection.execute(start).scalars())
    frontier, edges = sorted(seen), list[Edge]()
    while frontier:
        now, frontier = frontier[:500], frontier[500:]
        found = edges_where(sa.and_(graph_edges.c.source_id.in_(now), graph_edges.c.kind.in_(_FOLLOWED)))
        edges += found
        new = sorted({edge.target for edge in found} - seen)
        seen |= set(new)
        frontier += new
    runs: list[Edge] = []
    for chunk in _chunks(seen):
        reached = sa.and_(graph_edges.c.target_id.in_(chunk), graph_edges.c.kind == EdgeKind.PROVISIONS.value)
        runs += edges_where(reached)
    workflows = {edge.source for edge in runs}
    executes: list[Edge] = []
    for chunk in _chunks(workflows):
        executes += edges_where(sa.and_(graph_edges.c.target_id.in_(chunk), graph_edges.c.kind == "executes"))
    nodes: list[Node] = []
    for chunk in _chunks(seen | workflows):
        query = sa.select(graph_nodes).where(graph_nodes.c.id.in_(chunk))
        nodes += [Node(row.id, NodeKind(row.kind), row.ref, row.name) for row in tx.connection.execute(query)]
    kept = [edge for edge in executes if edge.source in seen]
    return Graph(tuple(sorted(nodes)), tuple(sorted({*edges, *runs, *kept})))


def _chunks(ids: Iterable[int]) -> list[list[int]]:
    ordered = sorted(ids)
    return [ordered[start : start + 500] for start in range(0, len(ordered), 500)]
