"""Add the owner of a todo, `local` for those that are there, and the tokens by which owners call.

The way down leaves all todos in one heap, which is seen whole by whoever may call.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    # A default of the database, as SQLite could add the column only by copying the table, which forgets its last id.
    # The empty name is nobody's: a row that comes without an owner is seen by none.
    op.add_column("todo_items", sa.Column("owner", sa.String(length=64), server_default="", nullable=False))
    op.execute("UPDATE todo_items SET owner = 'local'")
    op.drop_index("ix_todo_items_complete_id", "todo_items")
    op.create_index("ix_todo_items_owner_id", "todo_items", ["owner", "id"])
    op.create_index("ix_todo_items_owner_complete_id", "todo_items", ["owner", "complete", "id"])
    op.create_table(
        "access_tokens",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("id", big_integer, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("expires_at", big_integer, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
        sa.UniqueConstraint("digest", name="uq_access_tokens_digest"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("access_tokens")
    op.drop_index("ix_todo_items_owner_complete_id", "todo_items")
    op.drop_index("ix_todo_items_owner_id", "todo_items")
    op.create_index("ix_todo_items_complete_id", "todo_items", ["complete", "id"])
    op.drop_column("todo_items", "owner")
