"""Run the migrations on the database of the settings, one process at a time."""

import asyncio
import re
import sqlite3
import warnings
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, types
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

import todo_api.access.tokens
import todo_api.http.idempotency
import todo_api.models  # noqa: F401  # registers the tables in the metadata
from todo_api.database.engines import TIMEOUT, Database
from todo_api.database.schema import MIGRATION_LOCK, URL_ATTRIBUTE, StartupError, connect, current_migration
from todo_api.database.sqlite import dialect as sqlite
from todo_api.settings import load_settings

PATIENCE = 600
"""Seconds that another process may take to migrate a SQLite database, or to write to it."""

BESIDE = re.compile("todo_items_")
"""Begins the names of what the migrations keep beside a table for its lists, and no model declares."""

# Such an index of an expression is what the warning is about.
warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Whether the models say what this is: all but the indexes that are named as the table that they belong to."""
    return not (kind in ("table", "index") and name and BESIDE.match(name) and name not in SQLModel.metadata.tables)


def render_item(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """Write SQLModel's own column types, and ours, as the plain SQLAlchemy ones that they decorate."""
    if kind == "type" and isinstance(item, types.DateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, types.TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def run(connection: Connection) -> None:
    # One transaction from here to the end: it is the lock on SQLite, and what fails leaves nothing behind.
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        current_migration(connection, ScriptDirectory.from_config(context.config).get_current_head())
        configure(connection=connection, transactional_ddl=True)
        context.run_migrations()


def configure(**options: Any) -> None:
    context.configure(
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        render_item=render_item,
        include_name=include_name,
        **options,
    )


async def main() -> None:
    url = context.config.attributes.get(URL_ATTRIBUTE) or load_settings().database_url
    # A PostgreSQL server ends the transaction of a process that hangs after twice this time.
    timeout = PATIENCE if url.drivername == sqlite.DRIVER else TIMEOUT
    database = Database(url, timeout=timeout, create=True)
    try:
        async with connect(database.engine) as connection:
            await connection.run_sync(run)
    except StartupError as error:
        raise SystemExit(f"todo_api: {error}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            raise
        raise SystemExit("todo_api: cannot migrate the database: its disk is full") from None
    finally:
        await database.dispose()


if context.is_offline_mode():
    configure(url=load_settings().database_url.render_as_string(), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(main())
