"""Number the changes of each owner: a counter for each, and on each todo the number of the change that wrote it last.

A todo that is there has the number 1, as if one change had written all of its owner's.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "owners",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("change", big_integer, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_owners"),
    )
    op.add_column("todo_items", sa.Column("change", big_integer, server_default="0", nullable=False))
    op.execute("UPDATE todo_items SET change = 1")
    op.execute("INSERT INTO owners (owner, change) SELECT DISTINCT owner, 1 FROM todo_items")
    op.create_index("ix_todo_items_owner_change_id", "todo_items", ["owner", "change", "id"])


def downgrade() -> None:
    op.drop_index("ix_todo_items_owner_change_id", "todo_items")
    op.drop_column("todo_items", "change")
    op.drop_table("owners")
