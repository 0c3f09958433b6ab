"""The schema: its migrations, and the check that the database is at the one that this code needs."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from todo_api.logs import logger

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"


ADDRESS = "todo_api_address"
"""The execution option of an engine that says how its address was given, without the password."""
CURRENT = "SELECT version_num FROM alembic_version"
"""Finds the migration that the database is at."""
MIGRATION_LOCK = 0x746F646F  # "todo"
"""The advisory lock on PostgreSQL that a migration takes for itself, and that groups of writes share."""


URL_ATTRIBUTE = "database_url"
"""Where Alembic's configuration names a database other than that of the settings."""


class StartupError(Exception):
    """Why the server can't start, in one line for the person who starts it."""


class DiskFullError(StartupError):
    """The disk is too full to open the database for writing; it may be possible to read it."""


class SchemaChangedError(StartupError):
    """The database is at another migration than this code."""

    def __init__(self, current: str | None, expected: str | None) -> None:
        newer = current is not None and expected is not None and current > expected
        advice = (
            f"start the newer code again, or bring the database back by it: alembic downgrade {expected}"
            if newer
            else "run: alembic upgrade head"
        )
        super().__init__(f"the database is at migration {current}, not {expected}; {advice}")
        self.current = current
        self.expected = expected


class ForeignError(StartupError):
    """The database has tables of another application, which this one must not touch."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the database is another application's: {found}; give todo_api a database of its own, or on PostgreSQL a"
            " schema: postgresql://…?options=-csearch_path%3Dtodo"
        )


class Revision:
    """The migration that this code was made for. Code that does not know the schema must not write to it."""

    def __init__(self, expected: str | None) -> None:
        self.expected = expected
        self._told: set[str | None] = set()

    def check(self, current: str | None) -> None:
        """Raise SchemaChangedError unless the database is at this migration; the log says so once."""
        if current == self.expected:
            return
        error = SchemaChangedError(current, self.expected)
        if current not in self._told:
            self._told.add(current)
            logger.error("%s; until then writes are refused", error)
        raise error


@asynccontextmanager
async def connect(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A first connection; StartupError says which database can't be reached and why, and shows no password."""
    connection = engine.connect()
    try:
        await connection.start()
    except (SQLAlchemyError, OSError, TypeError, ValueError) as error:
        reason = getattr(error, "orig", None) or error
        if getattr(reason, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise DiskFullError(f"cannot open the database {_name(engine)}: its disk is full") from error
        raise StartupError(f"cannot open the database {_name(engine)}: {_reason(error)}") from error
    try:
        yield connection
    except DBAPIError as error:
        hint = _HINTS.get(getattr(error.orig, "sqlstate", None) or "", "")
        raise StartupError(f"cannot use the database {_name(engine)}: {_reason(error)}{hint}") from error
    finally:
        await connection.close()


_HINTS = {
    "42501": "; GRANT it to the role, or run alembic upgrade head as the role that owns the tables",
    "42P07": "; it is another application's: give todo_api a database or a schema of its own",
    **dict.fromkeys(("26000", "42P05"), "; if there is a pooler of transactions, say so: ?pooler=transaction"),
    "3F000": "; make the schema that search_path names: CREATE SCHEMA",
}
"""What to do, by PostgreSQL's SQLSTATE: no privilege, a table that is there already, a lost statement, no schema."""


def _name(engine: AsyncEngine) -> str:
    return str(engine.get_execution_options()[ADDRESS])


def _reason(error: Exception) -> str:
    return one_line(getattr(error, "orig", None) or error)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def migrate(url: URL | None = None) -> None:
    """Bring a database to the newest migration: that of the settings, if none is given."""
    command.upgrade(Config(ALEMBIC_INI, attributes={URL_ATTRIBUTE: url}), "head")


@cache
def newest_migration() -> str | None:
    return ScriptDirectory.from_config(Config(ALEMBIC_INI)).get_current_head()


def known_migrations() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(Config(ALEMBIC_INI)).walk_revisions()}


async def check_schema(engine: AsyncEngine) -> None:
    """Raise StartupError unless the database is at the newest migration."""
    newest = newest_migration()
    async with connect(engine) as connection:
        current = await connection.run_sync(current_migration, newest)
    if current != newest:
        raise SchemaChangedError(current, newest)


def current_migration(connection: Connection, newest: str | None) -> str | None:
    """The migration that the database is at; raises StartupError when this code can't migrate from there."""
    if connection.dialect.name == "postgresql":
        encoding = connection.connection.driver_connection.get_settings().server_encoding  # type: ignore[union-attr]
        if encoding != "UTF8":
            raise StartupError(
                f"the encoding of the database is {encoding}, which can't hold every text; make a new one:"
                " CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
            )
    heads = MigrationContext.configure(connection).get_current_heads()
    if len(heads) > 1:
        raise ForeignError(f"its alembic_version is {', '.join(heads)}")
    current = heads[0] if heads else None
    has_table = inspect(connection).has_table
    if current is None and has_table("todo_items"):
        raise ForeignError("it has a table todo_items")
    if current is not None and not (has_table("todo_items") or has_table("access_tokens")):
        raise ForeignError("it has an alembic_version, and none of our tables")
    if current not in (None, newest) and current not in known_migrations():  # that of a newer version
        raise SchemaChangedError(current, newest)
    return current
