"""Keep the folded text of tasks and notes, in which searches look, and index that in place of the text itself.

With `--sql`, what is there is folded by lower(), the nearest that SQL can do: update those todos once, each by itself.
"""

import logging
import re
from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BATCH = 1000
"""Rows that are folded at a time."""


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    op.add_column("todo_items", sa.Column("task_folded", sa.Text(), server_default="", nullable=False))
    op.add_column("todo_items", sa.Column("notes_folded", sa.Text(), nullable=True))
    if op.get_context().as_sql:
        op.execute("UPDATE todo_items SET task_folded = lower(task), notes_folded = lower(notes)")
    else:
        fold_rows(op.get_bind())
    if dialect == "sqlite":
        index_on_sqlite("task_folded", "notes_folded", "trigram case_sensitive 1")
    else:
        index_on_postgresql("task_folded || '\n' || coalesce(notes_folded, '')")


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        index_on_sqlite("task", "notes", "trigram")
    else:
        index_on_postgresql("lower(task || '\n' || coalesce(notes, ''))")
    op.drop_column("todo_items", "notes_folded")
    op.drop_column("todo_items", "task_folded")


def fold_rows(connection: sa.Connection) -> None:
    last = 0
    select = sa.text("SELECT id, task, notes FROM todo_items WHERE id > :last ORDER BY id LIMIT :batch")
    update = sa.text("UPDATE todo_items SET task_folded = :task, notes_folded = :notes WHERE id = :id")
    while rows := connection.execute(select, {"last": last, "batch": BATCH}).all():
        last = rows[-1].id
        folded = [{"id": row.id, "task": fold(row.task), "notes": row.notes and fold(row.notes)} for row in rows]
        connection.execute(update, folded)


def index_on_sqlite(task: str, notes: str, tokenizer: str) -> None:
    """Make the index of words anew, over these columns."""
    for event in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER todo_items_search_{event}")
    op.execute("DROP TABLE todo_items_search")
    op.execute(
        f"CREATE VIRTUAL TABLE todo_items_search"
        f" USING fts5({task}, {notes}, content='todo_items', content_rowid='id', tokenize='{tokenizer}')"
    )
    into = f"INSERT INTO todo_items_search (rowid, {task}, {notes})"
    op.execute(f"{into} SELECT id, {task}, {notes} FROM todo_items")
    insert = f"{into} VALUES (new.id, new.{task}, new.{notes})"
    delete = into.replace("(", "(todo_items_search, ") + f" VALUES ('delete', old.id, old.{task}, old.{notes})"
    op.execute(f"CREATE TRIGGER todo_items_search_insert AFTER INSERT ON todo_items BEGIN {insert}; END")
    op.execute(f"CREATE TRIGGER todo_items_search_delete AFTER DELETE ON todo_items BEGIN {delete}; END")
    op.execute(
        f"CREATE TRIGGER todo_items_search_update AFTER UPDATE OF {task}, {notes} ON todo_items"
        f" WHEN new.{task} IS NOT old.{task} OR new.{notes} IS NOT old.{notes} BEGIN {delete}; {insert}; END"
    )


def index_on_postgresql(text: str) -> None:
    """Index this text by blocks of 4,096 ids; where the extension is missing, do without, and say so."""
    op.execute("DROP INDEX IF EXISTS todo_items_words")
    create = (
        f"CREATE INDEX todo_items_words ON todo_items USING gin ((ARRAY[id >> 12]), ({text}) gin_trgm_ops)"
        " WITH (gin_pending_list_limit = 256)"
    )
    operators = "gin_trgm_ops" if op.get_context().as_sql else op.get_bind().scalar(sa.text(OPERATORS))
    if operators:
        op.execute(create.replace("gin_trgm_ops", operators))
        return
    logging.getLogger("alembic.runtime.migration").warning(
        "without the extension pg_trgm searches with q= read every todo; to speed them up, have a superuser run:"
        " CREATE EXTENSION pg_trgm; %s",
        create,
    )


OPERATORS = """SELECT quote_ident(nspname) || '.gin_trgm_ops' FROM pg_extension JOIN pg_namespace space
    ON space.oid = extnamespace WHERE extname = 'pg_trgm' AND has_schema_privilege(space.oid, 'USAGE')"""
"""Finds the operators of the extension, in whatever schema it is."""

# A copy of the product's own function, as it is at this migration. It is never changed.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Of all marks, those of Latin, Greek and Cyrillic alone: others tell Japanese and Indian letters apart.
_DROPPED = re.compile(f"[\u0300-\u036f{_INVISIBLE}]")
_BLANKS = re.compile(r"\s+")


def fold(text: str) -> str:
    """The text that a search compares: compatibility forms, accents, case and blanks make no difference."""
    if not text.isascii():
        # Case before the marks are dropped, as one of them is a letter in capitals: the Greek iota subscript.
        text = normalize("NFKD", normalize("NFKD", text).casefold())
        text = normalize("NFC", _DROPPED.sub("", text))
    return _BLANKS.sub(" ", text.lower() if text.isascii() else text)
