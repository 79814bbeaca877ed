"""Executions with all that they called: they stay or go together, so that a retry finds what it has called before."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from engine.domain.values import ExecutionId
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.graph import drop_nodes
from engine.store.tables import artifacts, executions, step_logs, step_runs

Family = Sequence[int]
"""Whoever was called stands before who called it."""


def whole(tx: Transaction, roots: Collection[int], *, over: Callable[[str, datetime | None], bool]) -> list[Family]:
    """The families of `roots` of which every member is `over` (by its state and end). Their rows are locked."""
    root_of = {root: root for root in roots}
    members = {root: [root] for root in roots}
    kept: set[int] = set()
    frontier: list[int] = sorted(roots)
    while frontier:
        query = sa.select(executions.c.id, executions.c.parent_id, executions.c.state, executions.c.finished_at)
        query = query.where(among(executions.c.parent_id, frontier)).order_by(executions.c.id).with_for_update()
        frontier = []
        for row in tx.connection.execute(query).all():
            root = root_of[row.id] = root_of[row.parent_id]
            members[root].insert(0, row.id)
            frontier.append(row.id)
            if not over(row.state, row.finished_at):
                kept.add(root)
    return [family for root, family in members.items() if root not in kept]


def remove(tx: Transaction, families: Sequence[Family], *, trial: bool) -> dict[str, int]:
    """Remove the families with everything they left; returns how many rows of each table, also in a `trial`."""
    ids = [ExecutionId(member) for family in families for member in family]
    rows = {"executions": len(ids)}
    for table in (step_logs, artifacts, step_runs):
        belongs = among(table.c.execution_id, ids)
        if trial:
            query = sa.select(sa.func.count()).select_from(table).where(belongs)
            rows[table.name] = tx.connection.execute(query).scalar_one()
        else:
            rows[table.name] = tx.connection.execute(sa.delete(table).where(belongs)).rowcount
    if ids and not trial:
        drop_nodes(tx, "workflow", [str(member) for member in ids])
        for level in _levels(families):
            tx.connection.execute(sa.delete(executions).where(among(executions.c.id, level)))
    return rows


def _levels(families: Sequence[Family]) -> list[list[int]]:
    """All first members, all second ones ...: nobody goes before whom it called."""
    longest = max(map(len, families))
    return [[family[place] for family in families if len(family) > place] for place in range(longest)]
