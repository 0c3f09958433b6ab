"""Index the words by blocks of 4,096 ids on PostgreSQL, so that several can be looked for where a page begins."""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    replace_index("todo_items_search", INDEX_IN_BLOCKS)


def downgrade() -> None:
    replace_index("todo_items_words", INDEX)


def replace_index(old: str, create: str) -> None:
    """On PostgreSQL, index the words by this statement; where the extension is missing, do without, and say so."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(f"DROP INDEX IF EXISTS {old}")
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

TEXT = "lower(task || '\n' || coalesce(notes, ''))"
INDEX = f"CREATE INDEX todo_items_search ON todo_items USING gin ({TEXT} gin_trgm_ops)"
# Each search reads all that waits to be put into the index: with 256 kB 0.1 ms, with the usual 4 MB 1 ms.
INDEX_IN_BLOCKS = f"""CREATE INDEX todo_items_words ON todo_items
    USING gin ((ARRAY[id >> 12]), {TEXT} gin_trgm_ops) WITH (gin_pending_list_limit = 256)"""
