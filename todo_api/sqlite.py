"""SQLite in place: the embedded database, called inside the event loop.

A read by key takes SQLite some 10 µs; handing it to a thread takes 100 µs and more. So this dialect calls
sqlite3 directly and looks asynchronous to SQLAlchemy. Only waiting must not block the loop: a transaction
that finds the database locked by another process sleeps in the loop and tries again until its deadline.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, Self, cast

from sqlalchemy import URL, AsyncAdaptedQueuePool, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.util.concurrency import await_

DRIVER = "sqlite+in_place"
LOCK_TIMEOUT = 5.0
"""Seconds that a write waits for another process to release the database."""
_RETRY_AFTER = 0.005


class _Cursor(sqlite3.Cursor):
    def execute(self, statement: str, parameters: Any = ()) -> Self:
        """Execute; while another process has the database locked, let the event loop run and try again."""
        deadline = 0.0
        while True:
            try:
                return super().execute(statement, parameters)
            except sqlite3.OperationalError as error:
                now = asyncio.get_running_loop().time()
                deadline = deadline or now + cast("_Connection", self.connection).lock_timeout
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now > deadline:
                    raise
            await_(asyncio.sleep(_RETRY_AFTER))

    async def _async_soft_close(self) -> None:
        """What SQLAlchemy's async session asks of a cursor whose rows it keeps: nothing to wait for here."""


class _Connection(sqlite3.Connection):
    lock_timeout = LOCK_TIMEOUT

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


def _lower(text: str | None) -> str | None:
    return text and text.lower()


class InPlaceDialect(SQLiteDialect_pysqlite):
    """pysqlite for the event loop: every transaction is `BEGIN IMMEDIATE`, or none at all for `read_only`."""

    driver = "in_place"
    is_async = True
    supports_statement_cache = True

    def __init__(self, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.read_only = read_only
        self.lock_timeout = lock_timeout

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        args, options = super().create_connect_args(url)
        # No timeout of SQLite's own: its waiting would block the loop. No isolation level: do_begin says when to begin.
        options.update(factory=_Connection, isolation_level=None, timeout=0)
        return cast("list[str]", list(args)), dict(options)

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        def connect(connection: Any) -> None:
            connection.lock_timeout = self.lock_timeout
            # SQLite's own lower() knows ASCII alone.
            connection.create_function("lower", 1, _lower, deterministic=True)
            execute = connection.cursor().execute
            # Asked first: the switch to WAL needs the database for itself, and is made once in a file's life.
            if not self.read_only and execute("PRAGMA journal_mode").fetchone() != ("wal",):
                execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")  # an acknowledged write survives the loss of power
            execute("PRAGMA foreign_keys = ON")
            execute("PRAGMA cache_size = -16384")  # KiB
            execute("PRAGMA mmap_size = 268435456")  # bytes
            execute(f"PRAGMA query_only = {self.read_only:d}")

        return connect

    def do_begin(self, dbapi_connection: Any) -> None:
        if not self.read_only:
            dbapi_connection.cursor().execute("BEGIN IMMEDIATE")


registry.register(DRIVER.replace("+", "."), __name__, InPlaceDialect.__name__)
