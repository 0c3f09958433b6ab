"""The database: its URL, its engines, and where its transactions come from."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic_core import from_json
from sqlalchemy import URL, AsyncAdaptedQueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from todo_api.database.postgresql import address as postgresql
from todo_api.database.postgresql.connections import POOL_SIZE
from todo_api.database.postgresql.driver import prepare
from todo_api.database.postgresql.reads import PooledReads
from todo_api.database.postgresql.writes import PooledWrites
from todo_api.database.schema import ADDRESS, Revision, newest_migration
from todo_api.database.sqlite import dialect as sqlite
from todo_api.database.sqlite.file import DatabaseFile
from todo_api.database.sqlite.log import LongLog
from todo_api.database.sqlite.reads import SingleReads
from todo_api.database.sqlite.threads import PLACES
from todo_api.database.sqlite.writes import InPlaceWrites
from todo_api.database.transactions import Transactions
from todo_api.database.turns import Turns

TIMEOUT = 5.0
"""Seconds that a request waits for the database, in its queues and for its locks together."""
MANY_TIMEOUT = 50.0
"""Seconds that a change of many may take: less than the 60 of usual proxies."""


class Address(URL):
    """The URL of a database, which remembers how it was given, without the password."""

    given = ""


def parse_url(text: str) -> Address:
    """The address of a database: `sqlite:///file`, `postgresql://…` or `postgres://…`.

    Raises ValueError, which never shows the address, as that may hold a password.
    """
    text = text.strip()  # a line feed ends the file of a secret
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    url: URL | None = None
    if scheme == "sqlite" and separator:
        # The name as it is: nothing in it is an escape or an option.
        if rest[1:] in ("", ":memory:"):
            raise ValueError(
                "must name a file, such as sqlite:///todo.db: connections do not share a database in memory"
            )
        url = URL.create(sqlite.DRIVER, database=rest[1:]) if rest.startswith("/") else None
    elif scheme in postgresql.SCHEMES:
        url = postgresql.parse(rest)
    elif separator:
        raise ValueError(f"names the unknown database {scheme!r}: use sqlite:// or postgresql://")
    if url is None:
        raise ValueError("is not a database URL: sqlite:///todo.db and postgresql://user:password@host/name are")
    address = Address(*url)
    address.given = text if scheme == "sqlite" else postgresql.without_password(text)
    return address


class Database:
    """One database: `writer` makes the transactions that change something, `reader` those that only read.

    `engine` is for migrations and the like. `reading` waits for no other process that writes. `probe` has a connection
    of its own, so no load keeps it waiting.
    """

    writer: Transactions
    reader: Transactions

    def __init__(
        self, url: URL, *, timeout: float = TIMEOUT, many_timeout: float = MANY_TIMEOUT, create: bool = False
    ) -> None:
        self.timeout = timeout
        self.many_timeout = many_timeout
        self.file: DatabaseFile | None = None
        """The file of a SQLite database."""
        self._writes: InPlaceWrites | None = None
        self._log: LongLog | None = None
        revision = Revision(newest_migration())
        if url.drivername == sqlite.DRIVER:
            self.file = file = DatabaseFile(url.database or "", create=create)
            self.engine, self.reading, self.probe, slow = self._engines = [
                _engine(url, pool_size=size, file=file, lock_timeout=timeout, read_only=read_only)
                for size, read_only in ((1, False), (1, True), (1, True), (PLACES + 1, True))
            ]
            threads = ThreadPoolExecutor(PLACES + 2, "sqlite")  # one writes, and one writes the log back
            self._log = log = LongLog(slow, file, threads)
            self._writes = writes = InPlaceWrites(self.engine, file, log, revision, threads)
            self.writer = Turns("sqlite", lambda: writes, lambda owner: "")
            self.reader = SingleReads(self.reading, slow, threads)
        else:
            pooled = postgresql.is_pooled(url)
            limits = [f"{name} = {value}; " for name, value in postgresql.time_limits(timeout).items()]
            # With AUTOCOMMIT, no transaction is begun whose end the driver would await for ever on a dead connection.
            self.reading, self.probe = self._engines = [
                _engine(
                    url,
                    pool_size=size,
                    settings="" if pooled else "".join(f"SET {limit}" for limit in limits),
                    connect_args=postgresql.connect_args(url, timeout),
                    isolation_level="AUTOCOMMIT",
                    pool_pre_ping=size == 1,  # the probe; what else is asked tries again by itself
                )
                for size in (POOL_SIZE, 1)
            ]
            self.engine = self.reading.execution_options(isolation_level="READ COMMITTED")
            # First come, first served: SQLAlchemy's pool would let a newcomer take a connection before who was woken.
            local = "".join(f"SET LOCAL {limit}" for limit in limits) if pooled else ""
            slots, many_slots = asyncio.Semaphore(POOL_SIZE), asyncio.Semaphore(POOL_SIZE // 2)
            self.writer = Turns(
                "postgresql",
                lambda: PooledWrites(self.reading, slots, many_slots, revision, timeout, local),
                lambda owner: owner,
            )
            self.reader = PooledReads(self.reading, slots, timeout)

    async def dispose(self) -> None:
        await self.writer.dispose()
        if self._writes is not None and self._log is not None:
            await self._writes.drop()
            await self._log.dispose()
        if self.file is not None:
            await self.file.damage.dispose()
            self.file.leave_if_gone()
        await self.reader.dispose()
        for engine in self._engines:
            await engine.dispose()
        if self.file is not None:
            self.file.close()


def _engine(url: URL, *, settings: str = "", **options: Any) -> AsyncEngine:
    # No overflow: its connections are opened and closed at every use. Parameters are what clients wrote: never logged.
    engine = create_async_engine(
        url if url.drivername == sqlite.DRIVER else URL.create(url.drivername),
        execution_options={ADDRESS: getattr(url, "given", "")},
        poolclass=AsyncAdaptedQueuePool,
        max_overflow=0,
        hide_parameters=True,
        json_deserializer=from_json,  # Pydantic's, at half the cost of Python's
        **options,
    )
    if engine.driver == "asyncpg":
        event.listen(engine.sync_engine, "connect", lambda connection, _: prepare(connection, settings))
    return engine
