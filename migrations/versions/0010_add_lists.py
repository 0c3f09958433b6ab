"""Add lists, and which of them a todo is in.

A todo that is there is in none. The way down loses the lists, so it is refused while there are any, unless it is told
to: `alembic -x lose=lists downgrade 0009`.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "todo_lists",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("change", big_integer, server_default="0", nullable=False),
        sa.Column("id", big_integer, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_folded", sa.Text(), server_default="", nullable=False),
        sa.Column("position", big_integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", big_integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_todo_lists"),
        sqlite_autoincrement=True,
    )
    for names in (["id"], ["position", "id"], ["change", "id"]):
        op.create_index(f"ix_todo_lists_owner_{'_'.join(names)}", "todo_lists", ["owner", *names])
    # Within the statement that adds the column, as SQLite could add a constraint only by copying the table.
    op.add_column(
        "todo_items",
        sa.Column("list_id", big_integer, sa.ForeignKey("todo_lists.id", name="fk_todo_items_list_id"), nullable=True),
        inline_references=True,
    )
    op.create_index("ix_todo_items_owner_list_id_id", "todo_items", ["owner", "list_id", "id"])
    # In which the database looks when a list is deleted; with the owner, so that it serves a filter too.
    in_a_list = sa.text("list_id IS NOT NULL")
    op.create_index(
        "ix_todo_items_list_id_owner_id",
        "todo_items",
        ["list_id", "owner", "id"],
        sqlite_where=in_a_list,
        postgresql_where=in_a_list,
    )


def downgrade() -> None:
    if not context.is_offline_mode() and "lists" not in context.get_x_argument(as_dictionary=True).get("lose", ""):
        (count,) = op.get_bind().execute(sa.text("SELECT count(*) FROM todo_lists")).one()
        if count:
            raise SystemExit(
                f"todo_api: {count} lists would be lost, and their todos be in none; to lose them, run:"
                " alembic -x lose=lists downgrade 0009"
            )
    op.drop_index("ix_todo_items_list_id_owner_id", "todo_items")
    op.drop_index("ix_todo_items_owner_list_id_id", "todo_items")
    op.drop_column("todo_items", "list_id")
    op.drop_table("todo_lists")
