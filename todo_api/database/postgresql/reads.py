"""Reads on PostgreSQL: a connection for each session, and each statement by itself."""

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from todo_api.database.deadlines import Deadline
from todo_api.database.postgresql.connections import POOL_SIZE, free, run, take
from todo_api.database.postgresql.driver import when_there
from todo_api.database.transactions import Found, Values


class PooledReads:
    """Sessions that only read: a connection each, and each statement by itself."""

    def __init__(self, engine: AsyncEngine, slots: asyncio.Semaphore, timeout: float) -> None:
        self.dialect = engine.dialect.name
        self._engine = engine
        self._slots = slots
        self._timeout = timeout
        self._of_owner: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def begin(self, owner: str, deadline: Deadline) -> "_Read":
        """Take a connection. An owner has half of them at the most, so that slow reads leave some to the others."""
        own = self._of_owner.get(owner)
        if own is None:
            own = self._of_owner[owner] = asyncio.Semaphore(POOL_SIZE // 2)
        slots = (own, self._slots)
        await take(slots)
        return _Read(self._engine, slots, self._timeout)

    async def dispose(self) -> None:
        """The engine closes its pool."""


class _Read:
    def __init__(self, engine: AsyncEngine, slots: Sequence[asyncio.Semaphore], timeout: float) -> None:
        self._engine = engine
        self._slots = slots
        self._timeout = timeout
        self._connection: AsyncConnection | None = None

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        if statement.is_dml:
            raise TypeError("a session that only reads changes nothing")
        return await when_there(lambda: self._execute(statement, values), self._timeout)

    async def _execute(self, statement: Executable, values: Values) -> Found:
        if self._connection is None:
            self._connection = await self._engine.connect()
        try:
            return await run(self._connection, statement, values)
        except BaseException:
            if self._connection.invalidated:
                await self._close()
            raise

    async def number(self, owner: str) -> int:
        raise TypeError("a session that only reads changes nothing")

    async def commit(self) -> None:
        await self.rollback()

    async def rollback(self) -> None:
        try:
            await self._close()
        finally:
            free(self._slots)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
