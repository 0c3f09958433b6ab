"""Add which todo a todo is a subtask of.

A todo that is there is of none. The way down makes every subtask a todo of its own, so it is refused while there are
any, unless it is told to: `alembic -x lose=subtasks downgrade 0010`.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column(
        "todo_items",
        sa.Column(
            "parent_id", big_integer, sa.ForeignKey("todo_items.id", name="fk_todo_items_parent_id"), nullable=True
        ),
        inline_references=True,
    )
    is_subtask = sa.text("parent_id IS NOT NULL")
    for names in (["owner", "parent_id", "id"], ["parent_id", "owner", "id"]):
        op.create_index(
            f"ix_todo_items_{'_'.join(names)}",
            "todo_items",
            names,
            sqlite_where=is_subtask,
            postgresql_where=is_subtask,
        )


def downgrade() -> None:
    if not context.is_offline_mode() and "subtasks" not in context.get_x_argument(as_dictionary=True).get("lose", ""):
        counted = op.get_bind().execute(sa.text("SELECT count(*) FROM todo_items WHERE parent_id IS NOT NULL"))
        if count := counted.scalar():
            raise SystemExit(
                f"todo_api: {count} subtasks would no more know their parent; to lose that, run:"
                " alembic -x lose=subtasks downgrade 0010"
            )
    op.drop_index("ix_todo_items_parent_id_owner_id", "todo_items")
    op.drop_index("ix_todo_items_owner_parent_id_id", "todo_items")
    op.drop_column("todo_items", "parent_id")
