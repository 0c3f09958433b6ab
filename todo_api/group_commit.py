"""Transactions on SQLite in place: reads on one connection; writes on another, committed in groups.

A commit costs more than all the rest of a small write: it appends every page that was changed to the write-ahead log,
and waits for the disk. So the writes that are ready at the same time become one transaction of the database. Each is a
savepoint of it, so that one that fails undoes itself alone, and none is answered before all of them are on the disk.
"""

import asyncio
import sqlite3
from asyncio import Future, Handle
from collections.abc import Sequence
from typing import Any, Final, Self, cast

from sqlalchemy import Connection, CursorResult, Executable, Row
from sqlalchemy.exc import DBAPIError, MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.sqlite_file import DatabaseFile, FileConnection
from todo_api.transactions import Parameters

MAX_GROUP: Final = 64
"""Writes in a group at the most, as the first of them waits for the last."""


class _InPlace:
    """One connection for all, opened when it is first needed; after a fault SQLAlchemy opens it anew."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._opened: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    async def dispose(self) -> None:
        self._drop()

    def _drop(self) -> None:
        """Close the connection, whatever it is in the midst of."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.invalidate()
            opened.close()


class SingleReads(_InPlace):
    """Statements that change nothing, each by itself, which takes no transaction."""

    async def begin(self) -> Self:
        return self

    async def fetch(self, statement: Executable, parameters: Parameters) -> Sequence[Row[Any]]:
        try:
            return self._fetch(statement, parameters)
        except (MissingGreenlet, StatementError) as error:
            if not isinstance(getattr(error, "orig", error), MissingGreenlet):
                raise
            # Another process has the file for itself: in a greenlet, the connection can wait for it.
            return await greenlet_spawn(self._fetch, statement, parameters)

    def _fetch(self, statement: Executable, parameters: Parameters) -> Sequence[Row[Any]]:
        try:
            return self.connection.execute(statement, parameters).all()
        finally:
            self.connection.rollback()

    async def change(self, statement: Executable, parameters: Parameters) -> int:
        raise TypeError("what only reads can't change anything")

    async def commit(self) -> None:
        """Nothing was changed."""

    async def close(self) -> None:
        """Nothing is open."""


class GroupCommit(_InPlace):
    """The writes of this process, one at a time and in the order in which they came."""

    def __init__(self, engine: AsyncEngine, file: DatabaseFile) -> None:
        super().__init__(engine)
        self._file = file
        self._turn = asyncio.Lock()
        self._waiting: list[Future[None]] = []
        """Of each write of the open transaction that has ended."""
        self._next_look: Handle | None = None

    async def dispose(self) -> None:
        self._settle(sqlite3.OperationalError("the database was closed before the commit"))

    async def begin(self) -> "_Write":
        await self._turn.acquire()
        try:
            nested = self._opened is not None and self._opened.in_transaction()
            if nested:
                self._join()
            else:
                await greenlet_spawn(self._begin)
        except BaseException:
            self._turn.release()
            raise
        return _Write(self, nested=nested)

    def _begin(self) -> None:
        self.connection.begin()

    def _join(self) -> None:
        try:
            self._file.check(self._sqlite)
            self._sqlite.execute("SAVEPOINT one")
        except sqlite3.Error as error:
            self._settle(error)
            raise

    @property
    def _sqlite(self) -> FileConnection:
        return cast("FileConnection", self.connection.connection.dbapi_connection)

    def execute(self, statement: Executable, parameters: Parameters) -> CursorResult[Any]:
        try:
            return self.connection.execute(statement, parameters)
        except DBAPIError as error:
            if self.connection.invalidated or not self._sqlite.in_transaction:
                self._settle(error)  # SQLite has undone all of the group, as it does when the disk is full
            raise

    async def commit(self, *, nested: bool) -> None:
        if nested:
            self._sqlite.execute("RELEASE one")
        await self._end()

    async def undo(self, *, nested: bool) -> None:
        if self._opened is None or not self._opened.in_transaction():
            self._turn.release()
        elif nested:
            self._sqlite.execute("ROLLBACK TO one")
            self._sqlite.execute("RELEASE one")
            await self._end()  # what it saw of the group may be in the answer, so it waits as well
        else:
            self.connection.rollback()
            self._turn.release()

    async def _end(self) -> None:
        """Let the next write begin, and wait until the group is on the disk."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append(done)
        self._turn.release()
        if len(self._waiting) >= MAX_GROUP:
            self._commit()
        elif self._next_look is None:
            self._next_look = loop.call_soon(self._look, 0)
        await done

    def _look(self, seen: int) -> None:
        """Commit the group, unless others have joined it since the last look: then there may be more."""
        self._next_look = None
        if self._turn.locked() or not self._waiting:
            return  # who has the turn looks when it ends
        if len(self._waiting) > seen:
            self._next_look = asyncio.get_running_loop().call_soon(self._look, len(self._waiting))
        else:
            self._commit()

    def _commit(self) -> None:
        try:
            self.connection.commit()
        except DBAPIError as error:
            self._settle(error)
        else:
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        """Tell the writes of the group how it ended; after an error, the next one begins with a new connection."""
        if error is not None:
            self._drop()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if done.done():
                continue  # its request has run out of time
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


class _Write:
    """One write, which is the whole transaction of the database, or nested in it as a savepoint."""

    def __init__(self, writes: GroupCommit, *, nested: bool) -> None:
        self._writes = writes
        self._nested = nested
        self._ended = False

    async def fetch(self, statement: Executable, parameters: Parameters) -> Sequence[Row[Any]]:
        return self._writes.execute(statement, parameters).all()

    async def change(self, statement: Executable, parameters: Parameters) -> int:
        return self._writes.execute(statement, parameters).rowcount

    async def commit(self) -> None:
        self._ended = True
        await self._writes.commit(nested=self._nested)

    async def close(self) -> None:
        if not self._ended:
            self._ended = True
            await self._writes.undo(nested=self._nested)
