"""Let the tags of a dump be restored: on PostgreSQL, whatever the search path, and each of them once.

A dump of the data alone has the rows of todo_items_tags, and the triggers on todo_items make the same ones.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(KEEP_TAGS.format(once=" ON CONFLICT DO NOTHING"))
        op.execute(RESTORE_TAGS)
        op.execute(RESTORE_TAGS_TRIGGER)
        op.execute(SET_PATHS)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP TRIGGER todo_items_tags_restore ON todo_items_tags")
        op.execute("DROP FUNCTION todo_items_tags_restore()")
        op.execute(KEEP_TAGS.format(once=""))  # without a search path of its own


KEEP_TAGS = """CREATE OR REPLACE FUNCTION todo_items_tags() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM todo_items_tags WHERE owner = old.owner AND id = old.id
        AND tag IN (SELECT json_array_elements_text(old.tags));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO todo_items_tags SELECT new.owner, json_array_elements_text(new.tags), new.id{once};
    END IF;
    RETURN NULL;
END $$"""

RESTORE_TAGS = """CREATE FUNCTION todo_items_tags_restore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM todo_items_tags WHERE owner = new.owner AND tag = new.tag AND id = new.id) THEN
        RETURN NULL;
    END IF;
    RETURN new;
END $$"""

# What the trigger on todo_items inserts has a depth of 1, so this function is called for a restore alone.
RESTORE_TAGS_TRIGGER = """CREATE TRIGGER todo_items_tags_restore BEFORE INSERT ON todo_items_tags
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION todo_items_tags_restore()"""

SET_PATHS = """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION todo_items_tags() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION todo_items_tags_restore() SET search_path = %I, pg_temp', current_schema());
END $$"""
