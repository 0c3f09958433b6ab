"""Connections to PostgreSQL: for reads, and for groups of writes."""

import asyncio
from datetime import date
from typing import Any, Final

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from todo_api.database.counters import COUNT
from todo_api.database.owners import ALL_OWNERS
from todo_api.database.schema import CURRENT, MIGRATION_LOCK, Revision
from todo_api.database.transactions import Found, Values

CLOSE_TIMEOUT: Final = 0.5
"""Seconds that closing a connection in order may take."""

_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock_shared({MIGRATION_LOCK})"
"""Begins a transaction, and waits for a migration that is under way: one message to the server."""
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_COUNT = COUNT.format(owner="$1::varchar", revision="$2")


class PooledReads:
    """Sessions that only read: a connection each, and each statement by itself."""

    def __init__(self, engine: AsyncEngine, slots: asyncio.Semaphore) -> None:
        self.dialect = engine.dialect.name
        self._engine = engine
        self._slots = slots

    async def begin(self, owner: str) -> "_Read":
        await self._slots.acquire()
        try:
            return _Read(await self._engine.connect(), self._slots)
        except BaseException:
            self._slots.release()
            raise

    async def dispose(self) -> None:
        """The engine closes its pool."""


class _Read:
    def __init__(self, connection: AsyncConnection, slots: asyncio.Semaphore) -> None:
        self._connection = connection
        self._slots = slots

    async def execute(self, statement: Executable, values: Values) -> Found:
        if statement.is_dml:
            raise TypeError("a session that only reads changes nothing")
        return await _run(self._connection, statement, values)

    async def number(self, owner: str) -> int:
        raise TypeError("a session that only reads changes nothing")

    async def commit(self) -> None:
        await self.rollback()

    async def rollback(self) -> None:
        try:
            await self._connection.close()
        finally:
            self._slots.release()


async def _run(connection: AsyncConnection, statement: Executable, values: Values) -> Found:
    try:
        result = await connection.execute(statement, values)
    except asyncpg.InternalClientError as error:  # the connection was ended just before, and SQLAlchemy does not see it
        await connection.invalidate()
        raise OperationalError("", None, error) from error
    return Found(result.all() if result.returns_rows else (), result.rowcount)


class PooledWrites:
    """The connection of one group of writes.

    SQLAlchemy leaves it in autocommit; BEGIN, SAVEPOINT and COMMIT go to the driver as they are. The driver's own
    transactions would take a connection on which BEGIN failed for one in a transaction, until the process ends.
    """

    def __init__(self, engine: AsyncEngine, slots: asyncio.Semaphore, revision: Revision, timeout: float) -> None:
        self._engine = engine
        self._slots = slots
        self._revision = revision
        self._timeout = timeout
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        self._in_savepoint = False

    @property
    def is_whole(self) -> bool:
        return self._connection is not None and not self._connection.invalidated and self._driver.is_in_transaction()

    async def begin(self, owner: str) -> int | None:
        """Begin. The owner's counter comes first: its row orders the groups of several processes."""
        await self._slots.acquire()
        try:
            self._connection = await self._engine.connect()
            self._driver = (await self._connection.get_raw_connection()).driver_connection
            await self._send(_BEGIN)
            if owner != ALL_OWNERS:
                return await self.number(owner)
            self._revision.check(await self._fetch(CURRENT))
            return None
        except BaseException:
            await self.drop()
            raise

    async def number(self, owner: str) -> int:
        number: int | None = await self._fetch(_COUNT, owner, self._revision.expected)
        if number is None:
            self._revision.check(await self._fetch(CURRENT))
            raise ConnectionError("the schema changed while a change was numbered")
        return number

    async def execute(self, statement: Executable, values: Values) -> Found:
        if self._connection is None:
            raise ConnectionError("the transaction was undone")
        return await _run(self._connection, statement, values)

    async def savepoint(self) -> None:
        await self._send("RELEASE SAVEPOINT one; SAVEPOINT one" if self._in_savepoint else "SAVEPOINT one")
        self._in_savepoint = True

    async def undo(self) -> None:
        await self._send("ROLLBACK TO SAVEPOINT one")

    async def commit(self) -> None:
        await self._end("COMMIT")

    async def rollback(self) -> None:
        await self._end("ROLLBACK")

    async def drop(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                if self._driver is not None:
                    self._driver.terminate()
                await connection.invalidate()
                await connection.close()
        finally:
            self._slots.release()

    async def _end(self, command: str) -> None:
        try:
            await self._send(command)
        except BaseException:
            await self.drop()
            raise
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            self._slots.release()

    async def _send(self, command: str) -> None:
        try:
            await self._driver.execute(command, timeout=self._timeout)
        except _FAULTS as error:
            raise OperationalError(command, None, error) from error

    async def _fetch(self, query: str, *values: Any) -> Any:
        """The first value of the first row; None when there is none."""
        try:
            return await self._driver.fetchval(query, *values, timeout=self._timeout)
        except _FAULTS as error:
            raise OperationalError(query, None, error) from error


_FIRST_DAY, _EPOCH, _LAST_DAY = (day.toordinal() for day in (date.min, date(2000, 1, 1), date.max))


def keep_the_last_day(connection: Any, _: Any) -> None:
    """Have asyncpg write 9999-12-31 as this day, not as infinity, which is later than all instants on it.

    The first day stays minus infinity, which is what asyncpg makes of its first instant.
    """
    connection.run_async(
        lambda driver: driver.set_type_codec(
            "date", schema="pg_catalog", encoder=_write_day, decoder=_read_day, format="binary"
        )
    )


def _write_day(day: date) -> bytes:
    days = -(2**31) if day == date.min else day.toordinal() - _EPOCH
    return days.to_bytes(4, "big", signed=True)


def _read_day(data: bytes) -> date:
    day = int.from_bytes(data, "big", signed=True) + _EPOCH
    return date.fromordinal(min(max(_FIRST_DAY, day), _LAST_DAY))


class AsyncpgConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's own signature
        """Take leave soon: a server that does not answer would hold up the 503, and the end of the process."""
        await super().close(timeout=CLOSE_TIMEOUT)
