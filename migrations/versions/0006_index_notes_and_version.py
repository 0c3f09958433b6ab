"""Index the notes, as far as they count for the order, and the version, so that lists can be sorted by them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_todo_items_owner_version_id", "todo_items", ["owner", "version", "id"])
    op.execute(f"CREATE INDEX todo_items_notes ON todo_items (owner, {NOTES[op.get_context().dialect.name]}, id)")


def downgrade() -> None:
    op.execute("DROP INDEX todo_items_notes")
    op.drop_index("ix_todo_items_owner_version_id", "todo_items")


# Just as the lists write it.
NOTES = {"sqlite": "substr(notes, 1, 500)", "postgresql": '(substr(notes, 1, 500)) COLLATE "C"'}
