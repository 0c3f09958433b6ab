"""A connection of sqlite3 to a database file, which knows what it has opened."""

import sqlite3
import time
from contextlib import suppress
from math import inf
from typing import Any
from weakref import WeakSet

AUTOCHECKPOINT = 1000
"""Pages of the log from which on SQLite writes it back with a commit."""

Inode = tuple[int, int]
Identity = tuple[Inode | None, Inode | None, Inode | None]
"""The inodes of the database file, of its write-ahead log, and of the index of the log, which processes share."""


class FileConnection(sqlite3.Connection):
    identity: Identity | None = None
    """The files that this connection has opened."""
    limit: "Limit"
    in_thread = False
    """Whether a worker thread uses it just now. Nobody else must touch it then, but to interrupt it."""

    checkpoints = True
    """Whether SQLite may write the log back with a commit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()
        """Those that are referred to, to close them."""

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        cursor = super().cursor(factory)
        self._cursors.add(cursor)
        return cursor

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute by a cursor of sqlite3 itself, which is known as well."""
        cursor: sqlite3.Cursor = self.cursor(sqlite3.Cursor)
        return cursor.execute(statement, parameters)

    def allow_checkpoints(self, allowed: bool) -> None:
        self.checkpoints = allowed
        self.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT if allowed else 0}")

    def enter_thread(self) -> None:
        self.in_thread = True
        # There, to look at the time would take the interpreter from the event loop, again and again.
        self.set_progress_handler(None, 0)

    def enter_loop(self) -> None:
        self.in_thread = False
        self.limit = Limit()
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            self.set_progress_handler(self.limit.is_over, Limit.STEPS)

    def close(self) -> None:
        """Close it, and all of its cursors: one that an error still refers to would keep the file open and locked."""
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            for each in self._cursors:
                each.close()
        super().close()


class Limit:
    """The time at which a statement is interrupted."""

    STEPS = 4000
    """Steps of SQLite's machine between two looks at the time: up to a millisecond."""
    until = inf

    def is_over(self) -> bool:
        return time.monotonic() > self.until


class FileGone(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED  # by which SQLite itself says so, without WAL

    def __init__(self, how: str) -> None:
        super().__init__(f"the database file was {how}; the next request opens what is there then")
