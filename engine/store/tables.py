"""The tables. Migrations create them; a test compares both.

Columns named `*_sealed` hold JSON sealed by `sealing`. A row that is queued, leased or asleep has `ready_at`: the
moment from which a worker may claim it. It is NULL in rows that are finished and in rows that only an event wakes.

`sqlite_autoincrement`: an id is never given twice, as PostgreSQL's sequences promise too.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
)

from engine.store.types import Identity, JsonColumn, Sealed, String, UtcDateTime, current_xact

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_ROOM = {"fillfactor": 70}
"""Rows that change often keep room on their page, so that PostgreSQL need not touch their indexes."""


def _written(column: Column[str], *values: str) -> sa.ColumnElement[bool]:
    """`column IN (...)` with the values written out: only so does a server see that a partial index fits."""
    literals = [sa.literal_column(f"'{value}'", String()) for value in values]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def _partial(name: str, *columns: Column[Any], where: sa.ColumnElement[bool]) -> None:
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, String, nullable=False, server_default=default)


applications = Table(
    "applications",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("name", String, nullable=False),
    Column("environment", String, nullable=False),
    _text("team"),
    Column("deleted_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _text("created_by"),
    Column("expires_at", UtcDateTime),
    UniqueConstraint("name", "environment"),
    sqlite_autoincrement=True,
)
_partial("ix_applications_live", applications.c.environment, where=applications.c.deleted_at.is_(None))
_partial("ix_applications_expires", applications.c.expires_at, where=applications.c.expires_at.is_not(None))

specs = Table(
    "specs",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("application_id", Identity, ForeignKey("applications.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("source_sealed", Sealed, nullable=False),
    Column("digest", String, nullable=False),
    Column("submitted_at", UtcDateTime, nullable=False),
    _text("submitted_by"),
    UniqueConstraint("application_id", "version"),
    sqlite_autoincrement=True,
)

resources = Table(
    "resources",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("environment", String, nullable=False),
    Column("type", String, nullable=False),
    Column("class", String, nullable=False, key="resource_class"),
    Column("identity", String, nullable=False),
    Column("application_id", Identity, ForeignKey("applications.id"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("params_sealed", Sealed, nullable=False),
    Column("state", String, nullable=False),
    Column("pending", String),
    Column("desired_generation", Integer, nullable=False),
    Column("observed_generation", Integer, nullable=False),
    _text("provider"),
    _text("digest"),
    _text("workflow"),
    _text("fingerprint"),
    Column("outputs_sealed", Sealed),
    Column("execution_id", Identity),
    Column("blocked_by", Identity, ForeignKey("resources.id"), index=True),
    _text("error"),
    _text("reason"),
    Column("checked_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _text("place"),
    UniqueConstraint("environment", "type", "resource_class", "identity"),
    CheckConstraint("observed_generation <= desired_generation", name="generations"),
    sqlite_autoincrement=True,
)
RESOURCE_UNDER_WAY = _written(resources.c.state, "provisioning", "updating", "terminating")
RESOURCE_PROVISIONED = _written(resources.c.state, "active", "degraded")
RESOURCE_STANDING = resources.c.state != sa.literal_column("'terminated'")
_partial("ix_resources_pending", resources.c.id, where=resources.c.pending.is_not(None))
_partial("ix_resources_under_way", resources.c.id, where=RESOURCE_UNDER_WAY)
_partial("ix_resources_standing", resources.c.id, where=RESOURCE_STANDING)
_partial(
    "ix_resources_checked",
    resources.c.checked_at,
    resources.c.id,
    where=sa.and_(RESOURCE_PROVISIONED, resources.c.pending.is_(None)),
)
Index("ix_resources_identity", resources.c.identity)

resource_references = Table(
    "resource_references",
    metadata,
    Column("resource_id", Identity, ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True),
    Column("application_id", Identity, ForeignKey("applications.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("name", String, primary_key=True),
    Column("params_sealed", Sealed, nullable=False),
)

resource_dependencies = Table(
    "resource_dependencies",
    metadata,
    Column("resource_id", Identity, ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True),
    Column("depends_on_id", Identity, ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("unmet", Boolean, nullable=False),
    Column("stale", Boolean, nullable=False, server_default="0"),
    comment="unmet: the dependant waits for it. stale: gone from the spec, in force until the dependant has succeeded.",
)

executions = Table(
    "executions",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("application_id", Identity, ForeignKey("applications.id")),
    Column("resource_id", Identity, ForeignKey("resources.id")),
    Column("operation", String),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("parent_id", Identity, ForeignKey("executions.id")),
    Column("parent_step", String),
    Column("provider", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("workflow", String, nullable=False),
    Column("inputs_sealed", Sealed),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("ready_at", UtcDateTime),
    Column("fair_key", String, nullable=False),
    Column("fair_tag", Float, nullable=False),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("sequence", Integer, nullable=False, server_default="0"),
    Column("worker", String),
    Column("cancel_requested", Boolean, nullable=False, server_default="0"),
    Column("outputs_sealed", Sealed),
    _text("error"),
    _text("reason"),
    _text("actor"),
    _text("environment"),
    Column("total_steps", Integer, nullable=False, server_default="0"),
    Column("completed_steps", Integer, nullable=False, server_default="0"),
    Column("failed_steps", Integer, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    UniqueConstraint("parent_id", "parent_step"),
    sqlite_autoincrement=True,
    postgresql_with=_ROOM,
)
EXECUTION_PENDING = _written(executions.c.state, "pending")
EXECUTION_RUNNING = _written(executions.c.state, "running")
EXECUTION_WAITING = _written(executions.c.state, "waiting")
EXECUTION_BROKEN = _written(executions.c.state, "failed", "cancelled")
EXECUTION_UNDUE = executions.c.state != sa.literal_column("'pending'")
EXECUTION_TO_END = sa.and_(executions.c.cancel_requested, _written(executions.c.state, "pending", "running", "waiting"))
GOLDEN_RUN = sa.and_(executions.c.resource_id.is_(None), executions.c.parent_id.is_(None))
Index("ix_executions_application", executions.c.application_id, executions.c.id)
Index("ix_executions_resource", executions.c.resource_id, executions.c.id)
_partial("ix_executions_queue", executions.c.fair_tag, executions.c.id, where=EXECUTION_PENDING)
_partial("ix_executions_due", executions.c.ready_at, where=sa.and_(executions.c.ready_at.is_not(None), EXECUTION_UNDUE))
_partial("ix_executions_running", executions.c.fair_key, where=EXECUTION_RUNNING)
_partial("ix_executions_waiting", executions.c.id, where=EXECUTION_WAITING)
_partial("ix_executions_broken", executions.c.id, where=EXECUTION_BROKEN)
_partial("ix_executions_cancelled", executions.c.fair_tag, executions.c.id, where=EXECUTION_TO_END)
_partial("ix_executions_golden", executions.c.workflow, executions.c.id, where=GOLDEN_RUN)

step_runs = Table(
    "step_runs",
    metadata,
    Column("execution_id", Identity, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("type", String, nullable=False),
    Column("execution_attempt", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("outputs_sealed", Sealed),
    _text("error"),
    _text("reason"),
    Column("wait_kind", String),
    Column("wait_ref", Identity),
    Column("wake_at", UtcDateTime),
    Column("memo_sealed", Sealed),
    postgresql_with=_ROOM,
)
STEP_WAITING = _written(step_runs.c.state, "waiting")
_partial("ix_step_runs_waiting", step_runs.c.wait_kind, step_runs.c.wait_ref, where=STEP_WAITING)

step_logs = Table(
    "step_logs",
    metadata,
    Column("execution_id", Identity, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("text_sealed", Sealed, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("execution_id", Identity, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("content_sealed", Sealed, nullable=False),
)

fair_queues = Table(
    "fair_queues",
    metadata,
    Column("key", String, primary_key=True),
    Column("last_tag", Float, nullable=False),
    comment="Start-time fair queuing: the tag of the newest execution per application or golden path.",
)
Index("ix_fair_queues_last_tag", fair_queues.c.last_tag)

platform_facts = Table(
    "platform_facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", JsonColumn, nullable=False),
    _text("reason"),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changed_by", String, nullable=False),
)

provider_bundles = Table(
    "provider_bundles",
    metadata,
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("archive", Sealed, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

provider_generations = Table(
    "provider_generations",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("digests", JsonColumn, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

graph_nodes = Table(
    "graph_nodes",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("kind", String, nullable=False),
    Column("ref", String, nullable=False),
    Column("name", String, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_to", UtcDateTime),
    sqlite_autoincrement=True,
)
Index(
    "uq_graph_nodes_current",
    graph_nodes.c.kind,
    graph_nodes.c.ref,
    unique=True,
    sqlite_where=graph_nodes.c.valid_to.is_(None),
    postgresql_where=graph_nodes.c.valid_to.is_(None),
)

Index("ix_graph_nodes_ref", graph_nodes.c.kind, graph_nodes.c.ref)
_partial("ix_graph_nodes_ended", graph_nodes.c.valid_to, where=graph_nodes.c.valid_to.is_not(None))

graph_edges = Table(
    "graph_edges",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("kind", String, nullable=False),
    Column("source_id", Identity, ForeignKey("graph_nodes.id"), nullable=False, index=True),
    Column("target_id", Identity, ForeignKey("graph_nodes.id"), nullable=False, index=True),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_to", UtcDateTime),
    sqlite_autoincrement=True,
)
Index(
    "uq_graph_edges_current",
    graph_edges.c.source_id,
    graph_edges.c.kind,
    graph_edges.c.target_id,
    unique=True,
    sqlite_where=graph_edges.c.valid_to.is_(None),
    postgresql_where=graph_edges.c.valid_to.is_(None),
)

_partial("ix_graph_edges_ended", graph_edges.c.valid_to, where=graph_edges.c.valid_to.is_not(None))

events = Table(
    "events",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("application_id", Identity),
    Column("resource_id", Identity),
    Column("execution_id", Identity, index=True),
    Column("data", JsonColumn, nullable=False),
    Column("xact", BigInteger, nullable=False, server_default=current_xact()),  # pyright: ignore[reportArgumentType] - any clause will do
    sqlite_autoincrement=True,
)
Index("ix_events_order", events.c.xact, events.c.id)
Index("ix_events_application_order", events.c.application_id, events.c.xact, events.c.id)
Index("ix_events_resource", events.c.resource_id, events.c.id)

event_tallies = Table(
    "event_tallies",
    metadata,
    Column("kind", String, primary_key=True),
    Column("count", Identity, nullable=False, autoincrement=False),
    comment="How many events of each kind there were up to the one that the fact `events-counted` names.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("actor", String, primary_key=True),
    Column("operation", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("handle", JsonColumn, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)
