"""What of the history may go: each function looks at a small piece and removes what is old and needed by nobody.

What is unfinished stays, the newest execution of each resource that stands and of each golden path, and what a kept
execution called. A piece is one short transaction; on PostgreSQL it takes only rows that nobody else holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from engine.domain.execution import FINAL
from engine.store import retained_families, tallies
from engine.store.bundles import drop_unused
from engine.store.database import Transaction
from engine.store.graph import drop_ended, drop_nodes
from engine.store.tables import (
    GOLDEN_RUN,
    RESOURCE_STANDING,
    applications,
    events,
    executions,
    resource_dependencies,
    resource_references,
    resources,
    specs,
)

Rows = dict[str, int]
TABLES: Final[tuple[str, ...]] = (
    "executions",
    "step_runs",
    "step_logs",
    "artifacts",
    "resources",
    "applications",
    "specs",
    "events",
    "graph_edges",
    "graph_nodes",
    "provider_generations",
    "provider_bundles",
)
"""From which rows may go."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where to look and how much: rows behind `after` of what is older than `before`. A `trial` only counts."""

    before: datetime
    limit: int
    after: int = 0
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of each table went, and behind which id the next piece begins; None at the end."""

    rows: Rows = field(default_factory=dict[str, int])
    after: int | None = None


def _old_executions(tx: Transaction, piece: Piece) -> Removed:
    """Executions with their steps, logs and artifacts, each together with all it called."""
    last = _last_of_window(tx, piece, executions.c.id, executions.c.created_at)
    if last is None:
        return Removed()
    query = sa.select(executions.c.id).where(
        executions.c.id > piece.after,
        executions.c.id <= last,
        executions.c.parent_id.is_(None),
        _ended_before(executions, piece),
        _superseded(piece),
    )
    query = query.order_by(executions.c.id).with_for_update(skip_locked=True)
    roots = list(tx.connection.execute(query).scalars())
    families = retained_families.whole(tx, roots, over=lambda state, at: _is_over(state, at, piece.before))
    return Removed(retained_families.remove(tx, families, trial=piece.trial), last)


def _last_of_window(
    tx: Transaction, piece: Piece, ident: sa.Column[int], at: sa.Column[datetime], *, up_to: int | None = None
) -> int | None:
    """The last id of the next `limit` rows; None when there are none, or all are young: ids rise with time."""
    window = sa.select(ident, at).where(ident > piece.after).order_by(ident).limit(piece.limit)
    if up_to is not None:
        window = window.where(ident <= up_to)
    rows = window.subquery()
    oldest, last = tx.connection.execute(sa.select(sa.func.min(rows.c[at.key]), sa.func.max(rows.c[ident.key]))).one()
    return None if last is None or oldest >= piece.before else last


def _ended_before(table: sa.FromClause, piece: Piece) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.state.in_([state.value for state in FINAL]), table.c.finished_at < piece.before)


def _is_over(state: str, finished_at: datetime | None, before: datetime) -> bool:
    return state in {final.value for final in FINAL} and finished_at is not None and finished_at < before


def _superseded(piece: Piece) -> sa.ColumnElement[bool]:
    """True for an execution that is not the one to be kept of its resource or golden path."""
    newer = executions.alias("newer")
    resource = resources.alias("its_resource")
    mine = resource.c.id == executions.c.resource_id
    another_golden = sa.exists().where(
        newer.c.workflow == executions.c.workflow,
        newer.c.resource_id.is_(None),
        newer.c.parent_id.is_(None),
        newer.c.id > executions.c.id,
    )
    another = sa.exists().where(newer.c.resource_id == executions.c.resource_id, newer.c.id > executions.c.id)
    current = sa.exists().where(mine, resource.c.execution_id == executions.c.id)
    gone = sa.exists().where(mine, _long_gone(resource, piece))
    return sa.or_(sa.and_(GOLDEN_RUN, another_golden), gone, sa.and_(another, ~current))


def _long_gone(resource: sa.FromClause, piece: Piece) -> sa.ColumnElement[bool]:
    state = resource.c.state == sa.literal_column("'terminated'")
    return sa.and_(state, resource.c.pending.is_(None), resource.c.updated_at < piece.before)


def _gone_resources(tx: Transaction, piece: Piece) -> Removed:
    """Resources that are gone, to which nothing refers any more."""
    other = resources.alias("other")
    edges = resource_dependencies
    query = sa.select(resources.c.id).where(
        resources.c.id > piece.after,
        _long_gone(resources, piece),
        ~sa.exists().where(resource_references.c.resource_id == resources.c.id),
        ~sa.exists().where(edges.c.resource_id == resources.c.id),
        ~sa.exists().where(edges.c.depends_on_id == resources.c.id),
        ~sa.exists().where(other.c.blocked_by == resources.c.id),
        _no_run(executions.c.resource_id == resources.c.id, piece),
    )
    ids = _locked(tx, query.order_by(resources.c.id).limit(piece.limit))
    _delete(tx, resources, resources.c.id.in_(ids), piece)
    return Removed({"resources": len(ids)}, ids[-1] if len(ids) == piece.limit else None)


def _gone_applications(tx: Transaction, piece: Piece) -> Removed:
    """Deleted applications of which nothing is left, with the documents submitted for them."""
    run = executions.c.application_id == applications.c.id
    owned = resources.c.application_id == applications.c.id
    left = sa.and_(owned, ~_long_gone(resources, piece)) if piece.trial else owned
    query = sa.select(applications.c.id).where(
        applications.c.id > piece.after,
        applications.c.deleted_at < piece.before,
        ~sa.exists().where(left),
        ~sa.exists().where(resource_references.c.application_id == applications.c.id),
        _no_run(run, piece),
    )
    ids = _locked(tx, query.order_by(applications.c.id).limit(piece.limit))
    versions = tx.connection.execute(
        sa.select(specs.c.application_id, specs.c.version).where(specs.c.application_id.in_(ids))
    ).all()
    if not piece.trial:
        drop_nodes(tx, "application", [str(value) for value in ids])
        drop_nodes(tx, "spec", [f"{row.application_id}/{row.version}" for row in versions])
    _delete(tx, specs, specs.c.application_id.in_(ids), piece)
    _delete(tx, applications, applications.c.id.in_(ids), piece)
    rows = {"applications": len(ids), "specs": len(versions)}
    return Removed(rows, ids[-1] if len(ids) == piece.limit else None)


def _no_run(belongs: sa.ColumnElement[bool], piece: Piece) -> sa.ColumnElement[bool]:
    """No execution is left; in a trial, none that would not have gone before."""
    if piece.trial:
        belongs = sa.and_(belongs, ~_ended_before(executions, piece))
    return ~sa.exists().where(belongs)


def _locked(tx: Transaction, query: sa.Select[Any]) -> list[int]:
    return list(tx.connection.execute(query.with_for_update(skip_locked=True)).scalars())


def _delete(tx: Transaction, table: sa.Table, condition: sa.ColumnElement[bool], piece: Piece) -> None:
    if not piece.trial:
        tx.connection.execute(sa.delete(table).where(condition))


def _old_events(tx: Transaction, piece: Piece) -> Removed:
    """Events that are in the tallies; the newest of each resource that stands is kept."""
    last = _last_of_window(tx, piece, events.c.id, events.c.at, up_to=tallies.counted_up_to(tx))
    if last is None:
        return Removed()
    later = events.alias("later")
    newest = ~sa.exists().where(later.c.resource_id == events.c.resource_id, later.c.id > events.c.id)
    stands = sa.exists().where(resources.c.id == events.c.resource_id, RESOURCE_STANDING)
    gone = sa.and_(events.c.id > piece.after, events.c.id <= last, events.c.at < piece.before, ~sa.and_(stands, newest))
    if piece.trial:
        count = tx.connection.execute(sa.select(sa.func.count()).select_from(events).where(gone)).scalar_one()
    else:
        count = tx.connection.execute(sa.delete(events).where(gone)).rowcount
    return Removed({"events": count}, last)


def _ended_graph(tx: Transaction, piece: Piece) -> Removed:
    """Edges and nodes that held before."""
    rows = drop_ended(tx, before=piece.before, limit=piece.limit, trial=piece.trial)
    return Removed(rows, 0 if not piece.trial and any(rows.values()) else None)


def _unused_bundles(tx: Transaction, piece: Piece) -> Removed:
    """Bundles of providers with which nothing was made that is still on record, and the sets they were part of."""
    return Removed(drop_unused(tx, before=piece.before, trial=piece.trial))


IN_ORDER: Final[Sequence[Callable[[Transaction, Piece], Removed]]] = (
    _old_executions,
    _gone_resources,
    _gone_applications,
    _old_events,
    _ended_graph,
    _unused_bundles,
)
"""What goes first makes room for the next: a resource cannot go before its executions."""
