"""Find the next execution without sorting the queue; the virtual time is read from the queue itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DUE = "ready_at IS NOT NULL AND state != 'pending'"


def upgrade() -> None:
    op.drop_index("ix_executions_ready", "executions")
    _partial("ix_executions_queue", ["fair_tag", "id"], "state = 'pending'")
    _partial("ix_executions_due", ["ready_at"], _DUE)
    op.create_index("ix_fair_queues_last_tag", "fair_queues", ["last_tag"])
    op.execute("DELETE FROM fair_queues WHERE key = '*'")
    _comment("Start-time fair queuing: the tag of the newest execution per application or golden path.")


def downgrade() -> None:
    op.drop_index("ix_fair_queues_last_tag", "fair_queues")
    op.drop_index("ix_executions_due", "executions")
    op.drop_index("ix_executions_queue", "executions")
    _partial("ix_executions_ready", ["ready_at"], "ready_at IS NOT NULL")
    op.execute("INSERT INTO fair_queues (key, last_tag) SELECT '*', coalesce(max(last_tag), 0) FROM fair_queues")
    _comment(
        "Start-time fair queuing: the tag of the newest execution per application; key `*` is the virtual time.",
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "executions", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _comment(text: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.create_table_comment("fair_queues", text)
