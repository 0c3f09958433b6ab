"""Transactions on SQLite in place: reads on one connection; writes on another, committed in groups.

A commit costs more than all the rest of a small write: it appends every page that was changed to the write-ahead log,
and waits for the disk. So the writes that are ready at the same time become one transaction of the database. Each is a
savepoint of it, so that one that fails undoes itself alone, and none is answered before all of them are on the disk.
"""

import asyncio
import sqlite3
from asyncio import CancelledError, Future, Handle
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self, cast

from sqlalchemy import Connection, CursorResult, Executable, Row
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.sqlite.file import DatabaseFile, FileConnection
from todo_api.database.transactions import Values

MAX_GROUP: Final = 64
"""Writes in a group at the most, as the first of them waits for the last."""
MAX_TIME: Final = 0.05
"""Seconds after which a group is committed with the next write that ends, however many come."""


class _InPlace:
    """One connection for all, opened when it is needed first; after a fault SQLAlchemy opens it anew."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._opened: Connection | None = None

    def _open(self) -> Connection:
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    def _drop(self) -> None:
        """Close the connection, whatever it is in the midst of."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.invalidate()
            opened.close()


class SingleReads(_InPlace):
    """Statements that change nothing, each by itself, which takes no transaction."""

    locks = False

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._waits = asyncio.Lock()

    async def begin(self) -> Self:
        return self

    async def fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        try:
            return self._fetch(statement, values)
        except (MissingGreenlet, StatementError) as error:
            if not isinstance(getattr(error, "orig", error), MissingGreenlet):
                raise
        # Another process has the file for itself: in a greenlet, one can wait for it, and the others for that one.
        async with self._waits:
            return await greenlet_spawn(self._fetch, statement, values)

    def _fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        connection = self._open()
        try:
            return connection.execute(statement, values).all()
        finally:
            connection.rollback()

    async def change(self, statement: Executable, values: Values) -> int:
        raise TypeError("what only reads can't change anything")

    async def commit(self) -> None:
        """Nothing was changed."""

    async def close(self) -> None:
        """Nothing is open."""

    async def dispose(self) -> None:
        self._drop()


class GroupCommit(_InPlace):
    """The writes of this process, one at a time and in the order in which they came.

    Between its first statement and its last one, a write must wait for nothing: the turn is its own so long.
    """

    locks = True

    def __init__(self, engine: AsyncEngine, file: DatabaseFile) -> None:
        super().__init__(engine)
        self._file = file
        self._turn = asyncio.Lock()
        self._begun = 0.0
        self._waiting: list[Future[None]] = []
        """Of each write of the group that has ended."""
        self._next_look: Handle | None = None

    async def begin(self) -> "_Write":
        await self._turn.acquire()
        try:
            nested = self.is_open
            if nested:
                self._join()
            else:
                await greenlet_spawn(self._begin)
        except BaseException:
            self._turn.release()
            raise
        return _Write(self, nested=nested)

    @property
    def is_open(self) -> bool:
        return self._opened is not None and self._opened.in_transaction()

    def _begin(self) -> None:
        self._open().begin()
        self._begun = asyncio.get_running_loop().time()

    def _join(self) -> None:
        try:
            self._file.check(self._sqlite)
            self._sqlite.execute("SAVEPOINT one")
        except sqlite3.Error as error:
            self._settle(error)
            raise

    @property
    def _sqlite(self) -> FileConnection:
        return cast("FileConnection", self._open().connection.dbapi_connection)

    def execute(self, statement: Executable, values: Values) -> CursorResult[Any]:
        if self._opened is None:
            raise sqlite3.OperationalError("the transaction was undone")
        try:
            return self._opened.execute(statement, values)
        except Exception as error:
            if self._opened.invalidated or not self._sqlite.in_transaction:
                self._settle(error)  # SQLite has undone all of the group, as it does when the disk is full
            raise

    async def end(self, *statements: str) -> None:
        """End a write with these statements, let the next one begin, and wait until the group is on the disk."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        try:
            for statement in statements:
                self._sqlite.execute(statement)
            self._waiting.append(done)
        except sqlite3.Error as error:
            self._settle(error)
            raise
        finally:
            self._turn.release()
        if len(self._waiting) >= MAX_GROUP or loop.time() - self._begun > MAX_TIME:
            self._commit()
        elif self._next_look is None:
            self._next_look = loop.call_soon(self._look, 0)
        while not done.done():
            with suppress(CancelledError):  # all is done but the commit, which decides what the answer is
                await asyncio.shield(done)
        done.result()

    def undo(self) -> None:
        """Undo a write that has the group to itself, or what is left of one after a fault."""
        try:
            if self._opened is not None and self._opened.in_transaction():
                self._opened.rollback()
        except Exception:
            self._drop()
            raise
        finally:
            self._turn.release()

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
            if self._opened is None or not self._sqlite.in_transaction:
                raise sqlite3.OperationalError("the transaction was undone")
            self._opened.commit()
        except Exception as error:  # each write of the group raises it
            self._settle(error)
        else:
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        """Tell the writes of the group how it ended; after an error, the next one begins with a new connection."""
        if error is not None:
            self._drop()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    async def dispose(self) -> None:
        self._settle(sqlite3.OperationalError("the database was closed before the commit"))


class _Write:
    """One write: the whole transaction of the database, or nested in that of others as a savepoint."""

    def __init__(self, writes: GroupCommit, *, nested: bool) -> None:
        self._writes = writes
        self._nested = nested
        self._ended = False

    async def fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        return self._writes.execute(statement, values).all()

    async def change(self, statement: Executable, values: Values) -> int:
        return self._writes.execute(statement, values).rowcount

    async def commit(self) -> None:
        self._ended = True
        await self._writes.end(*(["RELEASE one"] if self._nested else []))

    async def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._nested and self._writes.is_open:
            # What it saw of the others may be in its answer, so it waits for their commit as well.
            await self._writes.end("ROLLBACK TO one", "RELEASE one")
        else:
            self._writes.undo()
