"""Add the trash, to which deleted todos go.

What was deleted before is gone. The way down loses what is in the trash, so it is refused while there is something,
unless it is told to: `alembic -x lose=trash downgrade 0012`.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "deleted_todos",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("change", big_integer, server_default="0", nullable=False),
        sa.Column("id", big_integer, autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=500), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.String(length=16_384), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("list_id", big_integer, nullable=True),
        sa.Column("parent_id", big_integer, nullable=True),
        sa.Column("task_folded", sa.Text(), server_default="", nullable=False),
        sa.Column("notes_folded", sa.Text(), nullable=True),
        sa.Column("position", big_integer, server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", big_integer, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("act", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_todos"),
    )
    for names in (["change", "id"], ["deleted_at", "parent_id"]):
        op.create_index(f"ix_deleted_todos_owner_{'_'.join(names)}", "deleted_todos", ["owner", *names])


def downgrade() -> None:
    if not context.is_offline_mode() and "trash" not in context.get_x_argument(as_dictionary=True).get("lose", ""):
        (count,) = op.get_bind().execute(sa.text("SELECT count(*) FROM deleted_todos")).one()
        if count:
            raise SystemExit(
                f"todo_api: {count} todos in the trash would be lost; to lose them, run:"
                " alembic -x lose=trash downgrade 0012"
            )
    op.drop_table("deleted_todos")
