"""The file of a SQLite database: deleted or replaced under a running server, it must not be written to any more."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from weakref import WeakSet

_Inode = tuple[int, int]
_Identity = tuple[_Inode | None, _Inode | None]
"""Of the file of a database, and of its write-ahead log."""


class FileConnection(sqlite3.Connection):
    identity: _Identity | None = None
    """Of what was opened."""


class FileGone(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED  # by which SQLite itself says so, without WAL


class DatabaseFile:
    """The file of a database, shared by its engines, which see before each use that it is the one they opened.

    In WAL mode, writes into a deleted or replaced file succeed, and are gone after a restart.
    """

    def __init__(self, path: str, *, create: bool = False) -> None:
        self._path = str(Path(path).absolute())
        self._wal = f"{self._path}-wal"
        self._mode = "rwc" if create else "rw"  # a server does not make an empty database out of a deleted one
        self._opened: _Identity = (None, None)
        self._connections: WeakSet[FileConnection] = WeakSet()

    @property
    def uri(self) -> str:
        return f"file:{quote(self._path)}?mode={self._mode}"

    def connect(self, connect: Callable[[], FileConnection]) -> FileConnection:
        main, wal = self._identity()
        if main and wal and main != self._opened[0] and wal == self._opened[1]:
            # The log of the file that was replaced: SQLite would write it into the new one.
            for suffix in ("-wal", "-shm"):
                Path(self._path + suffix).unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):  # it is not there, or somebody else's
                shutil.copymode(self._path, self._path + suffix)  # SQLite gave it the mode that the file had then
        try:
            connection = connect()
        except sqlite3.OperationalError as error:
            if main or self._mode != "rw":
                raise
            raise sqlite3.OperationalError("there is no such file; to make it, run: alembic upgrade head") from error
        connection.identity = main, wal
        self._connections.add(connection)
        return connection

    def opened(self, connection: FileConnection) -> None:
        """Remember what was opened; the write-ahead log is there from the first statement on."""
        before = connection.identity
        main, wal = self._identity()
        connection.identity = self._opened = ((before and before[0]) or main, wal)

    def check(self, connection: FileConnection) -> None:
        """Raise FileGone, and close what is open, unless `connection` is to the file that is there now: 3 µs."""
        if connection.identity == self._identity():
            return
        if connection.identity:  # otherwise the check of another one has closed it
            # What was acknowledged goes into the file that was opened, for the case that it was only moved.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            for each in list(self._connections):
                each.identity = None
                each.close()
        raise FileGone("the database file was deleted or replaced; the next request opens what is there then")

    def _identity(self) -> _Identity:
        return _inode(self._path), _inode(self._wal)


def _inode(path: str) -> _Inode | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # half the time of Path.stat, for every request
    except OSError:
        return None
    return status.st_dev, status.st_ino
