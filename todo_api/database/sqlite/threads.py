"""What takes SQLite long: it goes on in a worker thread, so that the event loop is free for others.

sqlite3 lets go of the interpreter while it works. A hop to a thread costs 100 µs and a read by key 10 µs, so a
statement begins in the loop, and is begun anew in a thread when it takes longer than 10 ms.
"""

import asyncio
import sqlite3
from asyncio import CancelledError, Future
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar, cast
from weakref import WeakValueDictionary

from sqlalchemy.exc import OperationalError

from todo_api.database.sqlite.driver import FileConnection

IN_PLACE: Final = 0.01
"""Seconds that a statement may take in the event loop."""
IN_PLACE_BESIDE: Final = 0.001
"""The same while others go on in threads: many slow ones at once would take the loop for themselves."""
PLACES: Final = 4
"""Slow reads that run at once."""
PLACES_OF_OWNER: Final = 2
"""Slow reads of one owner that run at once."""

INTERRUPT_AGAIN: Final = 0.01
"""Seconds between two interruptions: one that comes between two statements does nothing."""

R = TypeVar("R")


class Places:
    """The places of slow reads: the others wait. An owner has a few, and so leaves some to the other owners."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(PLACES)
        self._of_owner: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.taken = 0

    @asynccontextmanager
    async def one(self, owner: str) -> AsyncIterator[None]:
        own = self._of_owner.get(owner)
        if own is None:
            own = self._of_owner[owner] = asyncio.Semaphore(PLACES_OF_OWNER)
        self.taken += 1
        try:
            async with own, self._all:
                yield
        finally:
            self.taken -= 1


class Thread:
    """Where a connection does what takes long, one thing at a time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: tuple[FileConnection, Future[object]] | None = None

    async def run(self, connection: FileConnection, work: Callable[[], R]) -> R:
        """Do the work in a thread. When its caller gives up, what runs is ended, and its end awaited."""
        try:
            connection.enter_thread()
            running = asyncio.get_running_loop().run_in_executor(self._pool, work)
            self._running = connection, cast("Future[object]", running)
            return await asyncio.shield(running)
        except CancelledError:
            await self.end()
            raise
        finally:
            self._running = None
            connection.enter_loop()

    async def end(self) -> None:
        """End what runs; return when it has ended."""
        if self._running is not None:
            connection, running = self._running
            while not running.done():
                with suppress(sqlite3.ProgrammingError):  # it is closed already
                    connection.interrupt()
                with suppress(CancelledError):
                    await asyncio.wait([running], timeout=INTERRUPT_AGAIN)
            running.exception()  # it is known: the caller has given up


def is_interrupted(error: BaseException) -> bool:
    """Whether a statement was ended as its time was up."""
    cause = error.orig if isinstance(error, OperationalError) else error
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
