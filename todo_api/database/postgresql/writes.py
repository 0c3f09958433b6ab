"""Writes on PostgreSQL: the connection of a group."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from todo_api.database.counters import COUNT
from todo_api.database.owners import ALL_OWNERS
from todo_api.database.postgresql.connections import free, run, take
from todo_api.database.postgresql.driver import CLOSE_TIMEOUT, FAULTS, when_there
from todo_api.database.schema import CURRENT, MIGRATION_LOCK, Revision
from todo_api.database.transactions import Found, Values

MANY: Final = 1000
"""Rows that a statement inserts from which on PostgreSQL is told to look at the table anew."""
_BEGIN = f"BEGIN; {{}}SELECT pg_advisory_xact_lock_shared({MIGRATION_LOCK})"
"""Begins a transaction, and waits for a migration that is under way: one message to the server."""
_COUNT = COUNT.format(owner="$1::varchar", revision="$2")


class PooledWrites:
    """The connection of one group of writes.

    SQLAlchemy leaves it in autocommit; BEGIN, SAVEPOINT and COMMIT go to the driver as they are. The driver's own
    transactions would take a connection on which BEGIN failed for one in a transaction, until the process ends.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        slots: asyncio.Semaphore,
        many_slots: asyncio.Semaphore,
        revision: Revision,
        timeout: float,
        settings: str = "",
    ) -> None:
        self._engine = engine
        self._slots = [slots]
        self._many_slots = many_slots
        self._revision = revision
        self._timeout = timeout
        self._begin_command = _BEGIN.format(settings)
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        self._in_savepoint = False
        self._grown: set[str] = set()
        """Tables that have many rows more."""

    @property
    def is_whole(self) -> bool:
        return self._connection is not None and not self._connection.invalidated and self._driver.is_in_transaction()

    async def begin(self, owner: str, many_seconds: float | None) -> int | None:
        """Begin. The owner's counter comes first: its row orders the groups of several processes."""
        command = self._begin_command
        if many_seconds is not None:
            self._slots.insert(0, self._many_slots)
            # Some more than the session has, which knows then that its time is up.
            command = f"{command}; SET LOCAL statement_timeout = {many_seconds * 1000 + 1000:.0f}"
        await take(self._slots)
        try:
            await when_there(lambda: self._begin(command), self._timeout)
            if owner != ALL_OWNERS:
                return await self.number(owner)
            self._revision.check(await self._fetch(CURRENT))
            return None
        except BaseException:
            await self.drop()
            raise

    async def _begin(self, command: str) -> None:
        self._connection = await self._engine.connect()
        try:
            self._driver = (await self._connection.get_raw_connection()).driver_connection
            await self._send(command)
        except BaseException:
            await self._close()
            raise

    async def number(self, owner: str) -> int:
        number: int | None = await self._fetch(_COUNT, owner, self._revision.expected)
        if number is None:
            self._revision.check(await self._fetch(CURRENT))
            raise ConnectionError("the schema changed while a change was numbered")
        return number

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        if self._connection is None:
            raise ConnectionError("the transaction was undone")
        found = await run(self._connection, statement, values)
        if statement.is_insert and found.changed >= MANY:
            self._grown.add(statement.table.name)  # type: ignore[attr-defined]  # it is an insert
        return found

    async def savepoint(self) -> None:
        await self._send("RELEASE SAVEPOINT one; SAVEPOINT one" if self._in_savepoint else "SAVEPOINT one")
        self._in_savepoint = True

    async def undo(self) -> None:
        await self._send("ROLLBACK TO SAVEPOINT one")

    async def commit(self) -> None:
        try:
            if await self._send("COMMIT") != "COMMIT":  # as the server says when a statement has failed before
                raise ConnectionError("the transaction was undone")
        except TimeoutError as error:
            await self.drop()
            raise ConnectionError("whether the commit was made is not known") from error
        except BaseException:
            await self.drop()
            raise
        try:
            for table in self._grown:
                # PostgreSQL looks at it within a minute. Until then it would take it for as small as it was.
                with suppress(OperationalError, OSError):
                    await self._send(f"ANALYZE {table}")
        finally:
            await self._let_go()

    async def rollback(self) -> None:
        """Undo the transaction. When the server does not answer, it undoes it once the connection is closed."""
        try:
            await self._send("ROLLBACK", timeout=CLOSE_TIMEOUT)
        except (OperationalError, OSError):
            await self.drop()
        except BaseException:
            await self.drop()
            raise
        else:
            await self._let_go()

    async def drop(self) -> None:
        try:
            await self._close()
        finally:
            free(self._slots)

    async def _close(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        driver, self._driver = self._driver, None
        if connection is not None:
            if driver is not None:
                driver.terminate()
            await connection.invalidate()
            await connection.close()

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            free(self._slots)

    async def _send(self, command: str, *, timeout: float | None = None) -> str:  # noqa: ASYNC109  # asyncpg's own
        """Run a command; what the server says of it."""
        try:
            return str(await self._driver.execute(command, timeout=timeout or self._timeout))
        except FAULTS as error:
            raise OperationalError(command, None, error, connection_invalidated=self._driver.is_closed()) from error

    async def _fetch(self, query: str, *values: Any) -> Any:
        """The first value of the first row; None when there is none."""
        try:
            return await self._driver.fetchval(query, *values, timeout=self._timeout)
        except FAULTS as error:
            raise OperationalError(query, None, error) from error
