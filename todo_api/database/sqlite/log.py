"""The write-ahead log of SQLite, which a change of many makes long: it is written back while nobody waits for it."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.sqlite.connections import Reader
from todo_api.database.sqlite.driver import AUTOCHECKPOINT
from todo_api.database.sqlite.file import DatabaseFile
from todo_api.database.sqlite.threads import Thread

_LONG: Final = AUTOCHECKPOINT * 4096
_PAUSES: Final = (0, 0.5, 1, 2, 4, 8, 16, 32)
"""Seconds before each attempt: the log can't end while somebody reads what was there before."""


class LongLog:
    """Writes a long log back, in a thread and on a connection of its own, so that not even writers wait for it."""

    def __init__(self, engine: AsyncEngine, file: DatabaseFile, pool: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._file = file
        self._pool = pool
        self._task: asyncio.Task[None] | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is being written back, so that no commit should do it."""
        return self._task is not None and not self._task.done()

    def shorten(self) -> None:
        """Write the log back if it is long; returns at once."""
        if not self.is_long and self._file.log_size() > _LONG:
            self._task = asyncio.create_task(self._shorten())

    async def dispose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _shorten(self) -> None:
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            reader = Reader(self._engine)
            try:
                await greenlet_spawn(reader.open)
                self._file.check(reader.sqlite)
                if await Thread(self._pool).run(reader.sqlite, partial(_write_back, reader.sqlite)):
                    return
            except (sqlite3.Error, DBAPIError):
                continue  # the file is locked, deleted or replaced
            finally:
                reader.close()


def _write_back(connection: sqlite3.Connection) -> bool:
    """Write the log back and cut it; whether that was done to its end."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # most of it, while others write
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
