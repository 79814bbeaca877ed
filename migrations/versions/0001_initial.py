"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _applications()
    _events()
    _fair_queues()
    _graph_nodes()
    _idempotency_keys()
    _provider_bundles()
    _provider_generations()
    _graph_edges()
    _resources()
    _specs()
    _executions()
    _resource_dependencies()
    _resource_references()
    _artifacts()
    _step_logs()
    _step_runs()
    _indexes()
    _partial_indexes()


def downgrade() -> None:
    for table in (
        "step_runs",
        "step_logs",
        "artifacts",
        "resource_references",
        "resource_dependencies",
        "executions",
        "specs",
        "resources",
        "graph_edges",
        "provider_generations",
        "provider_bundles",
        "idempotency_keys",
        "graph_nodes",
        "fair_queues",
        "events",
        "applications",
    ):
        op.drop_table(table)


def _applications() -> None:
    op.create_table(
        "applications",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        _text("team"),
        sa.Column("deleted_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        _text("created_by"),
        sa.PrimaryKeyConstraint("id", name="pk_applications"),
        sa.UniqueConstraint("name", "environment", name="uq_applications_name_environment"),
        sqlite_autoincrement=True,
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("application_id", ID),
        sa.Column("resource_id", ID),
        sa.Column("execution_id", ID),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )


def _fair_queues() -> None:
    op.create_table(
        "fair_queues",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("last_tag", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_fair_queues"),
        comment="Start-time fair queuing: the tag of the newest execution per application; key `*` is the "
        "virtual time.",
    )


def _graph_nodes() -> None:
    op.create_table(
        "graph_nodes",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("valid_from", TIME, nullable=False),
        sa.Column("valid_to", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_graph_nodes"),
        sqlite_autoincrement=True,
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("handle", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("actor", "operation", "key", name="pk_idempotency_keys"),
    )


def _provider_bundles() -> None:
    op.create_table(
        "provider_bundles",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("archive", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_provider_bundles"),
    )


def _provider_generations() -> None:
    op.create_table(
        "provider_generations",
        sa.Column("id", ID, nullable=False),
        sa.Column("digests", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_generations"),
        sqlite_autoincrement=True,
    )


def _graph_edges() -> None:
    op.create_table(
        "graph_edges",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        _reference("graph_edges", "source_id", "graph_nodes"),
        _reference("graph_edges", "target_id", "graph_nodes"),
        sa.Column("valid_from", TIME, nullable=False),
        sa.Column("valid_to", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_graph_edges"),
        sqlite_autoincrement=True,
    )


def _resources() -> None:
    op.create_table(
        "resources",
        sa.Column("id", ID, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        _reference("resources", "application_id", "applications"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("params_sealed", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("pending", sa.Text),
        sa.Column("desired_generation", sa.Integer, nullable=False),
        sa.Column("observed_generation", sa.Integer, nullable=False),
        _text("provider"),
        _text("digest"),
        _text("workflow"),
        _text("fingerprint"),
        sa.Column("outputs_sealed", sa.LargeBinary),
        sa.Column("execution_id", ID),
        _reference("resources", "blocked_by", "resources", nullable=True),
        _text("error"),
        _text("reason"),
        sa.Column("checked_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resources"),
        sa.UniqueConstraint(
            "environment", "type", "class", "identity", name="uq_resources_environment_type_class_identity"
        ),
        sa.CheckConstraint("observed_generation <= desired_generation", name="ck_resources_generations"),
        sqlite_autoincrement=True,
    )


def _specs() -> None:
    op.create_table(
        "specs",
        sa.Column("id", ID, nullable=False),
        _reference("specs", "application_id", "applications", cascade=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("source_sealed", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("submitted_at", TIME, nullable=False),
        _text("submitted_by"),
        sa.PrimaryKeyConstraint("id", name="pk_specs"),
        sa.UniqueConstraint("application_id", "version", name="uq_specs_application_id_version"),
        sqlite_autoincrement=True,
    )


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", ID, nullable=False),
        _reference("executions", "application_id", "applications", nullable=True),
        _reference("executions", "resource_id", "resources", nullable=True),
        sa.Column("operation", sa.Text),
        sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
        _reference("executions", "parent_id", "executions", nullable=True),
        sa.Column("parent_step", sa.Text),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("inputs_sealed", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("ready_at", TIME),
        sa.Column("fair_key", sa.Text, nullable=False),
        sa.Column("fair_tag", sa.Float, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("outputs_sealed", sa.LargeBinary),
        _text("error"),
        _text("reason"),
        _text("actor"),
        _text("environment"),
        sa.Column("total_steps", sa.Integer, nullable=False, server_default="0"),
        sa.Column("completed_steps", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failed_steps", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
        sa.UniqueConstraint("parent_id", "parent_step", name="uq_executions_parent_id_parent_step"),
        sqlite_autoincrement=True,
        postgresql_with={"fillfactor": 70},
    )


def _resource_dependencies() -> None:
    op.create_table(
        "resource_dependencies",
        _reference("resource_dependencies", "resource_id", "resources", cascade=True),
        _reference("resource_dependencies", "depends_on_id", "resources", cascade=True),
        sa.Column("unmet", sa.Boolean, nullable=False),
        sa.Column("stale", sa.Boolean, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("resource_id", "depends_on_id", name="pk_resource_dependencies"),
        comment="unmet: the dependant waits for it. stale: gone from the spec, in force until the dependant "
        "has succeeded.",
    )


def _resource_references() -> None:
    op.create_table(
        "resource_references",
        _reference("resource_references", "resource_id", "resources", cascade=True),
        _reference("resource_references", "application_id", "applications", cascade=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("params_sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "application_id", "name", name="pk_resource_references"),
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        _reference("artifacts", "execution_id", "executions", cascade=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("content_sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "position", name="pk_artifacts"),
    )


def _step_logs() -> None:
    op.create_table(
        "step_logs",
        _reference("step_logs", "execution_id", "executions", cascade=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("text_sealed", sa.LargeBinary, nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "position", "attempt", "chunk", name="pk_step_logs"),
    )


def _step_runs() -> None:
    op.create_table(
        "step_runs",
        _reference("step_runs", "execution_id", "executions", cascade=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("execution_attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("outputs_sealed", sa.LargeBinary),
        _text("error"),
        _text("reason"),
        sa.Column("wait_kind", sa.Text),
        sa.Column("wait_ref", ID),
        sa.Column("wake_at", TIME),
        sa.Column("memo_sealed", sa.LargeBinary),
        sa.PrimaryKeyConstraint("execution_id", "position", "attempt", name="pk_step_runs"),
        postgresql_with={"fillfactor": 70},
    )


def _indexes() -> None:
    op.create_index("ix_events_application_id", "events", ["application_id"])
    op.create_index("ix_events_execution_id", "events", ["execution_id"])
    op.create_index("ix_events_resource_id", "events", ["resource_id"])
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_graph_edges_target_id", "graph_edges", ["target_id"])
    op.create_index("ix_resources_application_id", "resources", ["application_id"])
    op.create_index("ix_resources_blocked_by", "resources", ["blocked_by"])
    op.create_index("ix_executions_application_id", "executions", ["application_id"])
    op.create_index("ix_executions_resource_id", "executions", ["resource_id"])
    op.create_index("ix_resource_dependencies_depends_on_id", "resource_dependencies", ["depends_on_id"])
    op.create_index("ix_resource_references_application_id", "resource_references", ["application_id"])


def _partial_indexes() -> None:
    _partial("uq_graph_nodes_current", "graph_nodes", ["kind", "ref"], "valid_to IS NULL", unique=True)
    _partial(
        "uq_graph_edges_current", "graph_edges", ["source_id", "kind", "target_id"], "valid_to IS NULL", unique=True
    )
    _partial("ix_resources_pending", "resources", ["id"], "pending IS NOT NULL")
    _partial("ix_executions_ready", "executions", ["ready_at"], "ready_at IS NOT NULL")
    _partial("ix_executions_running", "executions", ["fair_key"], "state = 'running'")
    _partial("ix_step_runs_waiting", "step_runs", ["wait_kind", "wait_ref"], "wait_kind IS NOT NULL")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _reference(
    table: str, column: str, target: str, *, nullable: bool = False, cascade: bool = False
) -> sa.Column[int]:
    key = sa.ForeignKey(f"{target}.id", name=f"fk_{table}_{column}", ondelete="CASCADE" if cascade else None)
    return sa.Column(column, ID, key, nullable=nullable)


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
