"""The file of a SQLite database: deleted or replaced under a running server, it must not be written to any more."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote
from weakref import WeakSet

from todo_api.database.sqlite.damage import Damage
from todo_api.database.sqlite.disk import Disk
from todo_api.database.sqlite.driver import FileConnection, FileGone, Identity, Inode
from todo_api.database.sqlite.locks import LOGGING, OPEN, lock, reading
from todo_api.database.sqlite.overwriting import Overwriting

INTERVAL: Final = 1.0
"""Seconds between two looks of a process that nobody calls."""

_NOTHING: Identity = (None, None, None)


class DatabaseFile:
    """The file of a database, shared by its engines, which see before each use that it is the one they opened.

    In WAL mode, writes into a deleted or replaced file succeed, and are gone after a restart.
    """

    def __init__(self, path: str, *, create: bool = False) -> None:
        self._path = str(Path(path).absolute())
        self.disk = Disk(self._path)
        self._find_log()
        self._mode = "rwc" if create else "rw"  # a server does not make an empty database out of a deleted one
        self.damage = Damage(self._path)
        self._overwriting = Overwriting()
        self._is_overwritten = False
        self._modified: int | None = None
        self._opened: Identity = _NOTHING
        self._connections: WeakSet[FileConnection] = WeakSet()
        self._keeper: FileConnection | None = None
        """One that no request uses, and so none closes: by it the log of a file that was moved is written back."""

    @property
    def uri(self) -> str:
        return f"file:{quote(os.fsencode(self._path))}?mode={self._mode}"

    def connect(self, connect: Callable[[], FileConnection]) -> FileConnection:
        if self._opened[0] and self._opened[0] != self._identity()[0]:
            if any(each.in_thread for each in self._connections):
                self._refuse()  # what is read there keeps the log from being written back
            self._leave()
        elif self._opened[0] and not self._overwriting.was_noted(self._path):
            # A copy may lack the log: SQLite would wait in vain for the connections that are open to give it one.
            self._is_overwritten = True
            self._refuse()
        self._find_log()
        main, wal, index = self._identity()
        for beside in (self._wal, self._shm):
            with suppress(OSError):  # it is not there, or somebody else's
                shutil.copymode(self._path, beside)  # SQLite gave it the mode that the file had then
        try:
            connection = connect()
        except sqlite3.OperationalError as error:
            if main or self._mode != "rw":
                raise
            raise sqlite3.OperationalError(
                "there is no such file; to put a backup back, run: python -m todo_api restore FILE;"
                " to make an empty one, run: alembic upgrade head"
            ) from error
        connection.identity = main, wal, index
        self._connections.add(connection)
        return connection

    def opened(self, connection: FileConnection) -> None:
        """Remember what was opened; the write-ahead log is there from the first statement on."""
        before = connection.identity
        main, wal, index = self._identity()
        connection.identity = self._opened = ((before and before[0]) or main, wal, index)
        self._overwriting.begin(self._path, self._shm)
        if self._keeper is None:
            self._keep()

    def _keep(self) -> None:
        with suppress(sqlite3.Error):  # the next one that is opened tries again
            keeper = sqlite3.connect(
                self.uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False, factory=FileConnection
            )
            keeper.execute("PRAGMA user_version").fetchone()  # the first read opens the write-ahead log
            keeper.identity = self._identity()
            if keeper.identity == self._opened:
                self._keeper = keeper
                self._connections.add(keeper)
            else:
                keeper.close()

    def close(self) -> None:
        """Close what is kept open here; the engines have closed theirs."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def check(self, connection: FileConnection) -> None:
        """Raise FileGone, and close what is open, unless `connection` is to what is there now: 4 µs."""
        checkpoint = self._overwriting.read()
        now = self._identity()
        if self._modified == self._overwriting.modified:
            self._overwriting.checkpoint = checkpoint
        elif now[0] == self._opened[0] and not self._overwriting.was_noted(self._path):
            self._is_overwritten = True
        if connection.identity == (now[0], None, None):  # what only reads can open it before it has a write-ahead log
            connection.identity = self._opened = now
        if self._is_overwritten or connection.identity != now:
            self._refuse()

    async def keep_looking(self) -> None:
        """Let go of a file that was touched while nobody calls this process, as its locks hold up the others."""
        while True:
            await asyncio.sleep(INTERVAL)
            for each in [each for each in self._connections if each.identity]:
                with suppress(FileGone):
                    self.check(each)

    def _refuse(self) -> NoReturn:
        """Raise FileGone, and close what is open."""
        if self._is_overwritten:
            self.damage.suspect("something else than SQLite wrote to it", look_closely=True)
        how = "overwritten" if self._is_overwritten else "deleted or replaced"
        busy = [each for each in self._connections if each.in_thread]
        for each in busy:
            with suppress(sqlite3.ProgrammingError):  # it is closed already
                each.interrupt()  # when it has ended, the next request closes it with the others
        if not busy and not self.damage.interrupt():
            self._leave()
        raise FileGone(how)

    def leave_if_gone(self) -> None:
        """Close all connections if what they opened is not there any more: SQLite would delete what is there now."""
        if self._opened[0] and self._opened != self._identity():
            self._leave()

    def _leave(self) -> None:
        """Close all connections to what was deleted, replaced or overwritten."""
        leaving = [each for each in self._connections if each.identity]
        main, wal, _ = self._identity()
        is_log_alive = (main, wal) == self._opened[:2]
        with ExitStack() as stack:
            if is_log_alive or self._is_overwritten:
                # The log is another process's too, or not of this content: the last one to close would write it back.
                stack.enter_context(reading(self._path))
            for each in leaving:
                with suppress(sqlite3.Error):  # it is closed, perhaps
                    each.rollback()
                    if not is_log_alive and not self._is_overwritten:
                        # What was acknowledged goes into the file that was opened, if it was only moved.
                        _write_back(each)
            for each in leaving:
                each.identity = None
                each.close()
            self._overwriting.end()
        if not is_log_alive and not self._is_overwritten:
            self._discard_log()
        self._opened, self._is_overwritten, self._keeper = _NOTHING, False, None

    def _discard_log(self) -> None:
        """Delete the write-ahead log of a file that was replaced: SQLite would write it into the one that is there now.

        Nothing of ours is open. As long as the file is locked, nobody else can open it and begin a log for it.
        """
        self._find_log()
        with ExitStack() as stack, suppress(OSError):
            is_logging = False
            with suppress(OSError):  # a file that can't be written to can't be locked
                file = stack.enter_context(Path(self._path).open("r+b"))
                if not lock(file, OPEN):
                    return  # somebody has opened it, and the log is its own
                is_logging = self._is_logging()
            main, wal, _ = self._identity()
            if main and main != self._opened[0] and (wal == self._opened[1] or is_logging):
                for beside in (self._wal, self._shm):
                    Path(beside).unlink(missing_ok=True)

    def _is_logging(self) -> bool:
        """Whether another process uses the write-ahead log, for a file that is not there any more."""
        with suppress(FileNotFoundError), Path(self._shm).open("r+b") as file:
            return not lock(file, LOGGING)
        return False

    def _find_log(self) -> None:
        """Look where the write-ahead log is: beside the file that a symbolic link leads to, not beside the link."""
        path = os.path.realpath(self._path)
        self._wal, self._shm = f"{path}-wal", f"{path}-shm"

    def log_size(self) -> int:
        """The bytes of the write-ahead log."""
        try:
            return Path(self._wal).stat().st_size
        except OSError:
            return 0

    def _identity(self) -> Identity:
        try:
            status = os.stat(self._path)  # noqa: PTH116  # half the time of Path.stat, for every request
        except OSError:
            return None, _inode(self._wal), _inode(self._shm)
        self._modified = status.st_mtime_ns
        return (status.st_dev, status.st_ino), _inode(self._wal), _inode(self._shm)


def _write_back(connection: FileConnection) -> None:
    """Put what is in the write-ahead log into the file; another process may be at it, or read what was there before."""
    for _ in range(20):
        busy, logged, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if not busy and written == logged:
            return
        time.sleep(0.005)


def _inode(path: str) -> Inode | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # as above
    except OSError:
        return None
    return status.st_dev, status.st_ino
