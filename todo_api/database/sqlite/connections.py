"""SQLite in place: one connection reads, another one writes."""

import asyncio
import sqlite3
from typing import Any, Self, cast

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.counters import COUNT
from todo_api.database.schema import CURRENT, Revision
from todo_api.database.sqlite.file import DatabaseFile, FileConnection
from todo_api.database.transactions import Found, Values

_COUNT = COUNT.format(owner="?", revision="?")


class _InPlace:
    """One connection, opened when it is first needed; after a fault SQLAlchemy opens it anew."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._opened: Connection | None = None

    def _open(self) -> Connection:
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    def _drop(self) -> None:
        """Close the connection, whatever state it is in."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.invalidate()
            opened.close()


def _found(connection: Connection, statement: Executable, values: Values) -> Found:
    result = connection.execute(statement, values)
    return Found(result.all() if result.returns_rows else (), result.rowcount)


class SingleReads(_InPlace):
    """The reads of all sessions: each statement by itself, without a transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._waits = asyncio.Lock()

    async def begin(self, owner: str) -> Self:
        return self

    async def execute(self, statement: Executable, values: Values) -> Found:
        try:
            return self._execute(statement, values)
        except (MissingGreenlet, StatementError) as error:
            if not isinstance(getattr(error, "orig", error), MissingGreenlet):
                raise
        # Another process has locked the file. Only a greenlet can wait for it; the other reads wait for this one.
        async with self._waits:
            return await greenlet_spawn(self._execute, statement, values)

    def _execute(self, statement: Executable, values: Values) -> Found:
        connection = self._open()
        try:
            return _found(connection, statement, values)
        finally:
            connection.rollback()

    async def number(self, owner: str) -> int:
        raise TypeError("a session that only reads changes nothing")

    async def commit(self) -> None:
        """Nothing was changed."""

    async def rollback(self) -> None:
        """Nothing was changed."""

    async def dispose(self) -> None:
        self._drop()


class InPlaceWrites(_InPlace):
    """The connection of every group of writes, one group after the other."""

    def __init__(self, engine: AsyncEngine, file: DatabaseFile, revision: Revision) -> None:
        super().__init__(engine)
        self._file = file
        self._revision = revision
        self._in_savepoint = False

    @property
    def is_whole(self) -> bool:
        return self._opened is not None and not self._opened.invalidated and self._sqlite.in_transaction

    @property
    def _sqlite(self) -> FileConnection:
        return cast("FileConnection", self._open().connection.dbapi_connection)

    async def begin(self, owner: str) -> None:
        """Begin; SQLite orders the processes itself, so the number is taken when something is written."""
        self._in_savepoint = False
        try:
            await greenlet_spawn(self._begin)
        except BaseException:
            self._drop()
            raise

    def _begin(self) -> None:
        self._open().begin()

    async def number(self, owner: str) -> int:
        number: int | None = self._first(_COUNT, owner, self._revision.expected)
        if number is None:
            self._revision.check(self._first(CURRENT))
            raise sqlite3.OperationalError("the schema changed while a change was numbered")
        return number

    async def execute(self, statement: Executable, values: Values) -> Found:
        if self._opened is None:
            raise sqlite3.OperationalError("the transaction was undone")
        return _found(self._opened, statement, values)

    def _first(self, query: str, *values: Any) -> Any:
        """The first value of the first row; None when there is none."""
        row = self._sqlite.execute(query, values).fetchone()
        return row and row[0]

    async def savepoint(self) -> None:
        self._file.check(self._sqlite)
        if self._in_savepoint:
            self._sqlite.execute("RELEASE one")
        self._sqlite.execute("SAVEPOINT one")
        self._in_savepoint = True

    async def undo(self) -> None:
        self._sqlite.execute("ROLLBACK TO one")
        self._sqlite.execute("RELEASE one")
        self._in_savepoint = False

    async def commit(self) -> None:
        self._end(commit=True)

    async def rollback(self) -> None:
        self._end(commit=False)

    def _end(self, *, commit: bool) -> None:
        try:
            if commit and not self.is_whole:
                raise sqlite3.OperationalError("the transaction was undone")
            if self._opened is not None:
                self._opened.commit() if commit else self._opened.rollback()
        except BaseException:
            self._drop()
            raise

    async def drop(self) -> None:
        self._drop()
