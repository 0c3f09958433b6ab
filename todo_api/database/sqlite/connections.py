"""A connection to SQLite, called inside the event loop."""

from typing import cast

from sqlalchemy import Connection, Executable
from sqlalchemy.ext.asyncio import AsyncEngine

from todo_api.database.sqlite.driver import FileConnection
from todo_api.database.transactions import Found, Values


class InPlace:
    """One connection, opened when it is first needed; after a fault SQLAlchemy opens it anew."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._opened: Connection | None = None

    def open(self) -> Connection:
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    @property
    def sqlite(self) -> FileConnection:
        return cast("FileConnection", self.open().connection.dbapi_connection)

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.invalidate()
            opened.close()


def found(connection: Connection, statement: Executable, values: Values) -> Found:
    result = connection.execute(statement, values)
    return Found(result.all() if result.returns_rows else (), result.rowcount)


class Reader(InPlace):
    """A connection that only reads: each statement by itself, without a transaction."""

    def find(self, statement: Executable, values: Values) -> Found:
        connection = self.open()
        try:
            return found(connection, statement, values)
        finally:
            connection.rollback()
