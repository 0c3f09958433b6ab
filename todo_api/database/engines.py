"""The database: its URL, its engines, and where its transactions come from."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic_core import from_json
from sqlalchemy import URL, AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from todo_api.database.postgresql.connections import PooledReads, PooledWrites
from todo_api.database.postgresql.driver import AsyncpgConnection, keep_the_last_day
from todo_api.database.schema import Revision, newest_migration
from todo_api.database.sqlite import dialect as sqlite
from todo_api.database.sqlite.file import DatabaseFile
from todo_api.database.sqlite.log import LongLog
from todo_api.database.sqlite.reads import SingleReads
from todo_api.database.sqlite.threads import PLACES
from todo_api.database.sqlite.writes import InPlaceWrites
from todo_api.database.transactions import Transactions
from todo_api.database.turns import Turns

POOL_SIZE = 10
"""Connections that one process holds on a PostgreSQL server at the most."""
TIMEOUT = 5.0
"""Seconds that a request waits for the database, in its queues and for its locks together."""
MANY_TIMEOUT = 50.0
"""Seconds that a change of many may take: less than the 60 of usual proxies."""
CONNECT_TIMEOUT = 3.0
"""Seconds that opening a connection may take."""
_DRIVERS = {
    "sqlite": sqlite.DRIVER,
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def parse_url(text: str) -> URL:
    """The URL with the driver that serves it; the forms are `sqlite:///file`, `postgresql://…` and `postgres://…`.

    Raises ValueError, which never shows the URL, as that may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(
            "is not a database URL: sqlite:///todo.db and postgresql://user:password@host/name are"
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"names the unknown database {url.drivername!r}: use sqlite:// or postgresql://")
    if driver == sqlite.DRIVER and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file, such as sqlite:///todo.db: connections do not share a database in memory")
    if driver == sqlite.DRIVER and url.query:
        raise ValueError("must have no options after the name of the file")
    if driver == "postgresql+asyncpg" and "sslmode" in url.query:
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
    url = url.set(drivername=driver)
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise ValueError(f"needs a driver that is not installed: pip install {error.name}") from None
    return url


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
            # With AUTOCOMMIT, no transaction is begun whose end the driver would await for ever on a dead connection.
            self.reading, self.probe = self._engines = [
                _engine(
                    url,
                    pool_size=size,
                    connect_args=_connect_args(timeout),
                    isolation_level="AUTOCOMMIT",
                    pool_pre_ping=size == 1,  # the probe; what else is asked tries again by itself
                )
                for size in (POOL_SIZE, 1)
            ]
            self.engine = self.reading.execution_options(isolation_level="READ COMMITTED")
            # First come, first served: SQLAlchemy's pool would let a newcomer take a connection before who was woken.
            slots, many_slots = asyncio.Semaphore(POOL_SIZE), asyncio.Semaphore(POOL_SIZE // 2)
            self.writer = Turns(
                "postgresql",
                lambda: PooledWrites(self.reading, slots, many_slots, revision, timeout),
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


def _engine(url: URL, **options: Any) -> AsyncEngine:
    # No overflow: its connections are opened and closed at every use. Parameters are what clients wrote: never logged.
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        max_overflow=0,
        hide_parameters=True,
        json_deserializer=from_json,  # Pydantic's, at half the cost of Python's
        **options,
    )
    if engine.driver == "asyncpg":
        event.listen(engine.sync_engine, "connect", keep_the_last_day)
    return engine


def _connect_args(timeout: float) -> dict[str, Any]:
    # A little less than the request has: an answer of the server keeps the connection, giving up costs it.
    milliseconds = f"{timeout * 900:.0f}ms"
    settings = {
        "application_name": "todo_api",
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": f"{timeout * 2000:.0f}ms",
    }
    connect_timeout = min(CONNECT_TIMEOUT, timeout)
    return {"timeout": connect_timeout, "server_settings": settings, "connection_class": AsyncpgConnection}
