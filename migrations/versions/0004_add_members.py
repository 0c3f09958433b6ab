"""Add what a todo has beside its task: notes, due day or instant, priority, tags, position and time stamps.

A row that is there gets its place in the order of the ids, and the instant of the migration as its time stamps. Beside
the table are kept, by triggers and for the lists alone: the tags, a row each, and an index of the words.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXED = ("priority", "position", "created_at", "updated_at")
MEMBERS = ("notes", "due_on", "due_at", "tags", "completed_at", *INDEXED)


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    instant = sa.DateTime(timezone=True)
    now = datetime.now(UTC).isoformat(" ", "microseconds")
    # Defaults of the database, as SQLite could add the columns only by copying the table, which forgets its last id.
    for column in (
        sa.Column("notes", sa.String(length=16384), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("due_at", instant, nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tags", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("position", big_integer, server_default="0", nullable=False),
        sa.Column("created_at", instant, server_default=now, nullable=False),
        sa.Column("updated_at", instant, server_default=now, nullable=False),
        sa.Column("completed_at", instant, nullable=True),
    ):
        op.add_column("todo_items", column)
    op.execute("UPDATE todo_items SET position = id * 65536")
    op.execute("UPDATE todo_items SET completed_at = updated_at WHERE complete")
    for name in INDEXED:
        op.create_index(f"ix_todo_items_owner_{name}_id", "todo_items", ["owner", name, "id"])
    op.execute(
        f"CREATE TABLE todo_items_tags (owner VARCHAR(64) NOT NULL, tag VARCHAR(64) NOT NULL, id {BIG_INTEGER[dialect]}"
        f" NOT NULL, PRIMARY KEY (owner, tag, id)){' WITHOUT ROWID' if dialect == 'sqlite' else ''}"
    )
    for statement in STATEMENTS[dialect]:
        op.execute(sa.text(statement.replace(":", r"\:")))
    if dialect == "postgresql":
        index_words()


def downgrade() -> None:
    dialect = op.get_context().dialect.name
    for statement in REMOVALS[dialect]:
        op.execute(statement)
    op.execute("DROP TABLE todo_items_tags")
    for name in INDEXED:
        op.drop_index(f"ix_todo_items_owner_{name}_id", "todo_items")
    for name in MEMBERS:
        op.drop_column("todo_items", name)


def index_words() -> None:
    """Index the runs of three characters on PostgreSQL; where its extension can't be had, do without, and say so."""
    if op.get_context().as_sql:
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.execute(CREATE_WORDS)
        return
    connection = op.get_bind()
    with suppress(sa.exc.DBAPIError), connection.begin_nested():
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    if operators := connection.scalar(sa.text(OPERATORS)):
        op.execute(CREATE_WORDS.replace("gin_trgm_ops", operators))
    else:
        # The next migration says what to run, as it has another index.
        logging.getLogger("alembic.runtime.migration").warning("the extension pg_trgm can't be created")


OPERATORS = """SELECT quote_ident(nspname) || '.gin_trgm_ops' FROM pg_extension JOIN pg_namespace space
    ON space.oid = extnamespace WHERE extname = 'pg_trgm' AND has_schema_privilege(space.oid, 'USAGE')"""
"""Finds the operators of the extension, in whatever schema it is."""

BIG_INTEGER = {"sqlite": "INTEGER", "postgresql": "BIGINT"}

# The instant or the first of the day in UTC, just as the lists write it.
SQLITE_DUE = "coalesce(due_at, due_on || ' 00:00:00.000000+00:00')"
POSTGRESQL_DUE = "coalesce(due_at, timezone('UTC', CAST(due_on AS TIMESTAMP)))"

CREATE_WORDS = """CREATE INDEX todo_items_search ON todo_items
    USING gin (lower(task || '\n' || coalesce(notes, '')) gin_trgm_ops)"""

STATEMENTS = {
    "sqlite": [
        f"CREATE INDEX todo_items_due ON todo_items (owner, {SQLITE_DUE}, id)",
        f"CREATE INDEX todo_items_open_due ON todo_items (owner, {SQLITE_DUE}, id)"
        f" WHERE complete = 0 AND {SQLITE_DUE} IS NOT NULL",
        "CREATE INDEX todo_items_due_on ON todo_items (owner, due_on, id) WHERE due_on IS NOT NULL",
        "CREATE INDEX todo_items_due_at ON todo_items (owner, due_at, id) WHERE due_at IS NOT NULL",
        "CREATE INDEX todo_items_completed_at ON todo_items (owner, completed_at, id) WHERE completed_at IS NOT NULL",
        "CREATE INDEX todo_items_task ON todo_items (owner, task, id)",
        """CREATE TRIGGER todo_items_tags_insert AFTER INSERT ON todo_items WHEN new.tags <> '[]' BEGIN
            INSERT INTO todo_items_tags SELECT new.owner, value, new.id FROM json_each(new.tags);
        END""",
        """CREATE TRIGGER todo_items_tags_delete AFTER DELETE ON todo_items WHEN old.tags <> '[]' BEGIN
            DELETE FROM todo_items_tags
            WHERE owner = old.owner AND tag IN (SELECT value FROM json_each(old.tags)) AND id = old.id;
        END""",
        """CREATE TRIGGER todo_items_tags_update AFTER UPDATE OF owner, tags ON todo_items
        WHEN new.tags <> old.tags OR new.owner <> old.owner BEGIN
            DELETE FROM todo_items_tags
            WHERE owner = old.owner AND tag IN (SELECT value FROM json_each(old.tags)) AND id = old.id;
            INSERT INTO todo_items_tags SELECT new.owner, value, new.id FROM json_each(new.tags);
        END""",
        """CREATE VIRTUAL TABLE todo_items_search
        USING fts5(task, notes, content='todo_items', content_rowid='id', tokenize='trigram')""",
        "INSERT INTO todo_items_search (rowid, task, notes) SELECT id, task, notes FROM todo_items",
        """CREATE TRIGGER todo_items_search_insert AFTER INSERT ON todo_items BEGIN
            INSERT INTO todo_items_search (rowid, task, notes) VALUES (new.id, new.task, new.notes);
        END""",
        """CREATE TRIGGER todo_items_search_delete AFTER DELETE ON todo_items BEGIN
            INSERT INTO todo_items_search (todo_items_search, rowid, task, notes)
            VALUES ('delete', old.id, old.task, old.notes);
        END""",
        """CREATE TRIGGER todo_items_search_update AFTER UPDATE OF task, notes ON todo_items
        WHEN new.task IS NOT old.task OR new.notes IS NOT old.notes BEGIN
            INSERT INTO todo_items_search (todo_items_search, rowid, task, notes)
            VALUES ('delete', old.id, old.task, old.notes);
            INSERT INTO todo_items_search (rowid, task, notes) VALUES (new.id, new.task, new.notes);
        END""",
    ],
    "postgresql": [
        f"CREATE INDEX todo_items_due ON todo_items (owner, ({POSTGRESQL_DUE}), id)",
        f"CREATE INDEX todo_items_open_due ON todo_items (owner, ({POSTGRESQL_DUE}), id)"
        f" WHERE complete = false AND {POSTGRESQL_DUE} IS NOT NULL",
        "CREATE INDEX todo_items_due_on ON todo_items (owner, due_on, id) WHERE due_on IS NOT NULL",
        "CREATE INDEX todo_items_due_at ON todo_items (owner, due_at, id) WHERE due_at IS NOT NULL",
        "CREATE INDEX todo_items_completed_at ON todo_items (owner, completed_at, id) WHERE completed_at IS NOT NULL",
        'CREATE INDEX todo_items_task ON todo_items (owner, task COLLATE "C", id)',
        """CREATE FUNCTION todo_items_tags() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF TG_OP <> 'INSERT' THEN
                DELETE FROM todo_items_tags WHERE owner = old.owner AND id = old.id
                AND tag IN (SELECT json_array_elements_text(old.tags));
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO todo_items_tags SELECT new.owner, json_array_elements_text(new.tags), new.id;
            END IF;
            RETURN NULL;
        END $$""",
        """CREATE TRIGGER todo_items_tags_insert AFTER INSERT ON todo_items
        FOR EACH ROW WHEN (new.tags::text <> '[]') EXECUTE FUNCTION todo_items_tags()""",
        """CREATE TRIGGER todo_items_tags_delete AFTER DELETE ON todo_items
        FOR EACH ROW WHEN (old.tags::text <> '[]') EXECUTE FUNCTION todo_items_tags()""",
        """CREATE TRIGGER todo_items_tags_update AFTER UPDATE OF owner, tags ON todo_items
        FOR EACH ROW WHEN (new.tags::text <> old.tags::text OR new.owner <> old.owner)
        EXECUTE FUNCTION todo_items_tags()""",
    ],
}
INDEXES = (
    "todo_items_due",
    "todo_items_open_due",
    "todo_items_due_on",
    "todo_items_due_at",
    "todo_items_completed_at",
    "todo_items_task",
)
TAG_TRIGGERS = ("todo_items_tags_insert", "todo_items_tags_delete", "todo_items_tags_update")
SEARCH_TRIGGERS = ("todo_items_search_insert", "todo_items_search_delete", "todo_items_search_update")
REMOVALS = {
    "sqlite": [
        *(f"DROP INDEX {name}" for name in INDEXES),
        *(f"DROP TRIGGER {name}" for name in (*TAG_TRIGGERS, *SEARCH_TRIGGERS)),
        "DROP TABLE todo_items_search",
    ],
    "postgresql": [
        "DROP INDEX IF EXISTS todo_items_search",
        *(f"DROP INDEX {name}" for name in INDEXES),
        *(f"DROP TRIGGER {name} ON todo_items" for name in TAG_TRIGGERS),
        "DROP FUNCTION todo_items_tags",
    ],
}
