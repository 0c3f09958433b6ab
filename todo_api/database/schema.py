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
from sqlalchemy import URL, Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from todo_api.logs import logger

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"


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
        super().__init__(f"the database is at migration {current}, not {expected}; run: alembic upgrade head")
        self.current = current
        self.expected = expected


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
        where = engine.url.render_as_string(hide_password=True)
        if getattr(reason, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise DiskFullError(f"cannot open the database {where}: its disk is full") from error
        raise StartupError(f"cannot open the database {where}: {one_line(reason)}") from error
    try:
        yield connection
    finally:
        await connection.close()


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
    async with connect(engine) as connection:
        current = await connection.run_sync(_current_migration)
    newest = newest_migration()
    if current != newest:
        raise SchemaChangedError(current, newest)


def _current_migration(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
