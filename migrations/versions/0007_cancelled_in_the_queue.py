"""Find what is cancelled and has not ended, without reading the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATES = "state IN ('pending', 'running', 'waiting')"


def upgrade() -> None:
    op.create_index(
        "ix_executions_cancelled",
        "executions",
        ["fair_tag", "id"],
        sqlite_where=sa.text(f"cancel_requested = 1 AND {_STATES}"),
        postgresql_where=sa.text(f"cancel_requested AND {_STATES}"),
    )


def downgrade() -> None:
    op.drop_index("ix_executions_cancelled", "executions")
