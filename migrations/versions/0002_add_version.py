"""Add the version of a todo; an index for the list of those that are open."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default of the database, so that rows get their version without being copied.
    version = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("todo_items", sa.Column("version", version, server_default="1", nullable=False))
    op.create_index("ix_todo_items_complete_id", "todo_items", ["complete", "id"])


def downgrade() -> None:
    op.drop_index("ix_todo_items_complete_id", "todo_items")
    op.drop_column("todo_items", "version")
