"""Expiry of applications, tallies of events, and indexes that keep hot queries off the history."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_PARTIAL = [
    ("ix_applications_live", "applications", ["environment"], "deleted_at IS NULL"),
    ("ix_applications_expires", "applications", ["expires_at"], "expires_at IS NOT NULL"),
    ("ix_resources_under_way", "resources", ["id"], "state IN ('provisioning', 'updating', 'terminating')"),
    ("ix_resources_standing", "resources", ["id"], "state != 'terminated'"),
    ("ix_resources_checked", "resources", ["checked_at", "id"], "state IN ('active', 'degraded') AND pending IS NULL"),
    ("ix_executions_waiting", "executions", ["id"], "state = 'waiting'"),
    ("ix_executions_broken", "executions", ["id"], "state IN ('failed', 'cancelled')"),
    ("ix_executions_golden", "executions", ["workflow", "id"], "resource_id IS NULL AND parent_id IS NULL"),
    ("ix_graph_nodes_ended", "graph_nodes", ["valid_to"], "valid_to IS NOT NULL"),
    ("ix_graph_edges_ended", "graph_edges", ["valid_to"], "valid_to IS NOT NULL"),
]
_WHOLE = [
    ("ix_resources_identity", "resources", ["identity"]),
    ("ix_executions_application", "executions", ["application_id", "id"]),
    ("ix_executions_resource", "executions", ["resource_id", "id"]),
    ("ix_graph_nodes_ref", "graph_nodes", ["kind", "ref"]),
    ("ix_graph_edges_source_id", "graph_edges", ["source_id"]),
    ("ix_events_resource", "events", ["resource_id", "id"]),
]
_REPLACED = [
    ("ix_executions_application_id", "executions", ["application_id"]),
    ("ix_executions_resource_id", "executions", ["resource_id"]),
    ("ix_events_resource_id", "events", ["resource_id"]),
]


def upgrade() -> None:
    op.add_column("applications", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.create_table(
        "event_tallies",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("count", ID, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("kind", name="pk_event_tallies"),
        comment="How many events of each kind there were up to the one that the fact `events-counted` names.",
    )
    for name, table, columns, where in _PARTIAL:
        _partial(name, table, columns, where)
    for name, table, columns in _WHOLE:
        op.create_index(name, table, columns)
    for name, table, _ in _REPLACED:
        op.drop_index(name, table)
    op.drop_index("ix_step_runs_waiting", "step_runs")
    _partial("ix_step_runs_waiting", "step_runs", ["wait_kind", "wait_ref"], "state = 'waiting'")


def downgrade() -> None:
    op.drop_index("ix_step_runs_waiting", "step_runs")
    _partial("ix_step_runs_waiting", "step_runs", ["wait_kind", "wait_ref"], "wait_kind IS NOT NULL")
    for name, table, columns in _REPLACED:
        op.create_index(name, table, columns)
    for name, table, *_ in (*_WHOLE, *_PARTIAL):
        op.drop_index(name, table)
    op.drop_table("event_tallies")
    op.drop_column("applications", "expires_at")
    op.execute("DELETE FROM platform_facts WHERE name = 'events-counted'")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
