"""Let the timeline be read in the order of its commits: each event knows the transaction that wrote it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is there keeps the order of its ids; the table is not written anew.
    op.add_column("events", sa.Column("xact", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE events ALTER COLUMN xact SET DEFAULT (pg_current_xact_id()::text)::bigint")
    op.drop_index("ix_events_application_id", "events")
    op.create_index("ix_events_order", "events", ["xact", "id"])
    op.create_index("ix_events_application_order", "events", ["application_id", "xact", "id"])


def downgrade() -> None:
    op.drop_index("ix_events_application_order", "events")
    op.drop_index("ix_events_order", "events")
    op.create_index("ix_events_application_id", "events", ["application_id"])
    op.drop_column("events", "xact")
