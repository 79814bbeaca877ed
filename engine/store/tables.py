"""The tables. Migrations create them; a test compares both.

Columns named `*_sealed` hold JSON sealed by `sealing`. A row that is queued, leased or asleep has `ready_at`: the
moment from which a worker may claim it. It is NULL in rows that are finished and in rows that only an event wakes.

`sqlite_autoincrement`: an id is never given twice, as PostgreSQL's sequences promise too.
"""

import sqlalchemy as sa
from sqlalchemy import (
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

from engine.store.types import Identity, JsonColumn, Sealed, String, UtcDateTime

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
    UniqueConstraint("name", "environment"),
    sqlite_autoincrement=True,
)

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
Index(
    "ix_resources_pending",
    resources.c.id,
    sqlite_where=resources.c.pending.is_not(None),
    postgresql_where=resources.c.pending.is_not(None),
)

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
    Column("application_id", Identity, ForeignKey("applications.id"), index=True),
    Column("resource_id", Identity, ForeignKey("resources.id"), index=True),
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
Index(
    "ix_executions_queue",
    executions.c.fair_tag,
    executions.c.id,
    sqlite_where=executions.c.state == "pending",
    postgresql_where=executions.c.state == "pending",
)
Index(
    "ix_executions_due",
    executions.c.ready_at,
    sqlite_where=sa.and_(executions.c.ready_at.is_not(None), executions.c.state != "pending"),
    postgresql_where=sa.and_(executions.c.ready_at.is_not(None), executions.c.state != "pending"),
)
Index(
    "ix_executions_running",
    executions.c.fair_key,
    sqlite_where=executions.c.state == "running",
    postgresql_where=executions.c.state == "running",
)

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
Index(
    "ix_step_runs_waiting",
    step_runs.c.wait_kind,
    step_runs.c.wait_ref,
    sqlite_where=step_runs.c.wait_kind.is_not(None),
    postgresql_where=step_runs.c.wait_kind.is_not(None),
)

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

graph_edges = Table(
    "graph_edges",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("kind", String, nullable=False),
    Column("source_id", Identity, ForeignKey("graph_nodes.id"), nullable=False),
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

events = Table(
    "events",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("application_id", Identity, index=True),
    Column("resource_id", Identity, index=True),
    Column("execution_id", Identity, index=True),
    Column("data", JsonColumn, nullable=False),
    sqlite_autoincrement=True,
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
