"""Where a resource lives that its provider keeps in a data directory."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("resources", sa.Column("place", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("resources", "place")
