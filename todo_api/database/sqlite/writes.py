"""The writes of SQLite: in the event loop, and in a thread when they take long."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Any, Final

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.counters import COUNT
from todo_api.database.schema import CURRENT, Revision
from todo_api.database.sqlite.connections import InPlace, found
from todo_api.database.sqlite.driver import FileConnection
from todo_api.database.sqlite.file import DatabaseFile
from todo_api.database.sqlite.log import LongLog
from todo_api.database.sqlite.threads import IN_PLACE, Thread, is_interrupted
from todo_api.database.transactions import Found, Values

HOP: Final = 0.001
"""Seconds that a commit may take in the event loop. To hand it to a thread costs a tenth of that."""

_COUNT = COUNT.format(owner="?", revision="?")


class InPlaceWrites(InPlace):
    """The connection of every group of writes, one group after the other."""

    def __init__(
        self, engine: AsyncEngine, file: DatabaseFile, log: LongLog, revision: Revision, pool: ThreadPoolExecutor
    ) -> None:
        super().__init__(engine)
        self._log = log
        self._file = file
        self._revision = revision
        self._thread = Thread(pool)
        self._driver: FileConnection
        """The connection of the driver, from the beginning of a transaction to its end."""
        self._took_long = False
        self._commit_time = 0.0
        """Seconds that a commit takes: the mean of the last ones."""

    @property
    def is_whole(self) -> bool:
        return self._opened is not None and not self._opened.invalidated and self.sqlite.in_transaction

    async def begin(self, owner: str, many_seconds: float | None) -> None:
        """Begin; SQLite orders the processes itself, so the number is taken when something is written."""
        self._took_long = False
        try:
            await greenlet_spawn(self._begin)
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        self.open().begin()
        self._driver = self.sqlite
        if self._driver.checkpoints == self._log.is_long:
            self._driver.allow_checkpoints(not self._log.is_long)

    async def number(self, owner: str) -> int:
        number: int | None = self._first(_COUNT, owner, self._revision.expected)
        if number is None:
            self._revision.check(self._first(CURRENT))
            raise sqlite3.OperationalError("the schema changed while a change was numbered")
        return number

    async def execute(self, statement: Executable, values: Values, *, long: bool) -> Found:
        if self._opened is None:
            raise sqlite3.OperationalError("the transaction was undone")
        connection = self._opened
        if statement.is_dml and not long:
            return found(connection, statement, values)
        if not long and not self._took_long:
            limit = self._driver.limit
            limit.until = time.monotonic() + IN_PLACE
            try:
                return found(connection, statement, values)
            except OperationalError as error:
                if not is_interrupted(error):
                    raise
            finally:
                limit.until = inf
        self._took_long = True
        return await self._thread.run(self._driver, lambda: found(connection, statement, values))

    def _first(self, query: str, *values: Any) -> Any:
        """The first value of the first row; None when there is none."""
        row = self._driver.execute(query, values).fetchone()
        return row and row[0]

    async def savepoint(self) -> None:
        """Begin one inside of the last one, which then need not be released: the commit releases them all."""
        self._file.check(self._driver)
        self._driver.execute("SAVEPOINT one")

    async def undo(self) -> None:
        self._driver.execute("ROLLBACK TO one")
        self._driver.execute("RELEASE one")

    async def commit(self) -> None:
        """Commit: in a thread where that is cheaper than to have everybody wait for the disk."""
        try:
            if not self.is_whole or self._opened is None:
                raise sqlite3.OperationalError("the transaction was undone")
            commit = partial(self._commit, self._opened)
            if self._took_long or self._commit_time > HOP:
                await self._thread.run(self._driver, commit)
                self._log.shorten()
            else:
                commit()
            self._file.check(self._driver)  # what was committed beside it is no success
        except BaseException:
            self.close()
            raise

    def _commit(self, connection: Connection) -> None:
        if self._took_long:
            self._driver.allow_checkpoints(False)
        began = time.monotonic()
        connection.commit()
        self._commit_time += (time.monotonic() - began - self._commit_time) / 8

    async def rollback(self) -> None:
        """Undo: in a thread after what took long, as that takes long too."""
        try:
            if self._opened is not None and self._took_long:
                await self._thread.run(self._driver, self._opened.rollback)
                self._commit_time = 2 * HOP  # the next commit flushes what was written to the log in vain
            elif self._opened is not None:
                self._opened.rollback()
        except BaseException:
            self.close()
            raise

    async def drop(self) -> None:
        await self._thread.end()
        self.close()
