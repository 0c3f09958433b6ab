"""SQLite in place: the embedded database, called inside the event loop.

A read by key takes SQLite some 10 µs; handing it to a thread takes 100 µs and more. So this dialect calls
sqlite3 directly and looks asynchronous to SQLAlchemy. Only waiting must not block the loop: a transaction
that finds the database locked by another process sleeps in the loop and tries again until its deadline.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Self, cast

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.util.concurrency import await_

from todo_api.database.sqlite.driver import FileConnection
from todo_api.database.sqlite.file import DatabaseFile

DRIVER = "sqlite+in_place"
_RETRY_AFTER = 0.005
# Errors of a file that may be whole again when it is opened anew; one opened read-only, for example, stays so.
_STALE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


class _Cursor(sqlite3.Cursor):
    def execute(self, statement: str, parameters: Any = ()) -> Self:
        """Execute; while another process has the database locked, let the event loop run and try again."""
        deadline = 0.0
        while True:
            try:
                return super().execute(statement, parameters)
            except sqlite3.OperationalError as error:
                now, connection = time.monotonic(), cast("_Connection", self.connection)
                deadline = deadline or now + connection.lock_timeout
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now > deadline:
                    raise
            if connection.in_thread:
                time.sleep(_RETRY_AFTER)
            else:
                await_(asyncio.sleep(_RETRY_AFTER))


class _Connection(FileConnection):
    lock_timeout = 0.0

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


class InPlaceDialect(SQLiteDialect_pysqlite):
    """pysqlite for the event loop: every transaction is `BEGIN IMMEDIATE`, or none at all for `read_only`."""

    driver = "in_place"
    is_async = True
    supports_statement_cache = True

    def __init__(
        self, file: DatabaseFile | None = None, lock_timeout: float = 0, read_only: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.file = file or DatabaseFile("")  # none is opened where SQL is only written down
        self.read_only = read_only
        self.lock_timeout = lock_timeout

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        _, options = super().create_connect_args(url)
        # No timeout of SQLite's own: its waiting would block the loop. No isolation level: do_begin says when to begin.
        options.update(factory=_Connection, isolation_level=None, timeout=0, uri=True, check_same_thread=False)
        return [self.file.uri], dict(options)

    def connect(self, *args: Any, **options: Any) -> DBAPIConnection:
        if not self.read_only:
            self.file.damage.check()
        connection = self.file.connect(lambda: sqlite3.connect(*args, **options))
        if self.read_only and not self._has_room(connection):
            connection.close()
            uri, *more = args
            connection = self.file.connect(lambda: sqlite3.connect(f"{uri}&readonly_shm=1", *more, **options))
        return cast("DBAPIConnection", connection)

    def _has_room(self, connection: Any) -> bool:
        """Whether the disk has room for the memory that processes share. To read, each can have its own instead."""
        connection.lock_timeout = self.lock_timeout
        try:
            connection.cursor().execute("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_SHMSIZE:
                raise
            self.file.disk.found_full()
            return False
        return True

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        def connect(connection: Any) -> None:
            connection.lock_timeout = self.lock_timeout
            connection.enter_loop()
            execute = connection.cursor().execute
            # Asked first: the switch to WAL needs the database for itself, and is made once in a file's life.
            if not self.read_only and execute("PRAGMA journal_mode").fetchone() != ("wal",):
                execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")  # an acknowledged write survives the loss of power
            execute("PRAGMA foreign_keys = ON")
            execute("PRAGMA temp_store = MEMORY")  # what a savepoint would undo: in a file, 25 µs a write
            execute("PRAGMA cache_size = -16384")  # KiB
            execute("PRAGMA journal_size_limit = 67108864")  # what a checkpoint leaves of a long log: 64 MiB
            # No mmap: it saves 0.4 µs a read, and a file that was cut or a bad sector would kill the process.
            execute(f"PRAGMA query_only = {self.read_only:d}")
            execute("PRAGMA user_version")  # the first read opens the write-ahead log, and begins a missing one
            self.file.opened(connection)

        return connect

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return getattr(e, "sqlite_errorcode", 0) & 0xFF in _STALE or super().is_disconnect(e, connection, cursor)

    def do_begin(self, dbapi_connection: Any) -> None:
        self.file.check(dbapi_connection)
        if not self.read_only:
            self.file.damage.check()
            dbapi_connection.cursor().execute("BEGIN IMMEDIATE")


registry.register(DRIVER.replace("+", "."), __name__, InPlaceDialect.__name__)
