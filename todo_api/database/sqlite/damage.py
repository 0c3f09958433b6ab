"""A SQLite database that may be damaged: nothing is written to it until it is looked through and found sound."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from todo_api.logs import logger

PAUSE: Final = 1.0
"""Seconds between two looks at the least; they take a tenth of the time at the most."""
INTERRUPTED: Final = "interrupted"
_WHAT_TO_DO: Final = (
    "%s may be damaged (%s): writes are refused until it is found sound. If it is not, put a backup back, while it is"
    " served: python -m todo_api restore FILE"
)


class DamagedError(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_ABORT

    def __init__(self) -> None:
        super().__init__("the database may be damaged")


class Damage:
    """Whether a database may be damaged, from the first sign of it on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._looking: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._check = "quick_check"
        self.is_suspected = False

    def suspect(self, sign: str, *, look_closely: bool = False) -> None:
        """Refuse writes from now on; the log says so once.

        A closer look takes longer, and compares each index with its table: these may be of two databases.
        """
        self._check = "integrity_check" if look_closely else self._check
        if not self.is_suspected:
            self.is_suspected = True
            logger.error(_WHAT_TO_DO, self._path, sign)

    def look_through(self) -> None:
        """Look a suspected database through, in a thread, until it is sound; returns at once."""
        if self.is_suspected and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    def check(self) -> None:
        """Raise DamagedError before anything is written."""
        if self.is_suspected:
            raise DamagedError

    def interrupt(self) -> bool:
        """End the look that goes on; whether there is one. Its connection has the file open."""
        connection = self._connection
        if connection is None:
            return False
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            connection.interrupt()
        return True

    async def dispose(self) -> None:
        if self._looking is not None and not self._looking.done():
            self._looking.cancel()
            self.interrupt()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        said = None
        while self.is_suspected:
            began = monotonic()
            found = await asyncio.to_thread(self._find)
            if found == "ok":
                self.is_suspected, self._check = False, "quick_check"
                logger.warning("%s is sound: writes are served again", self._path)
                return
            if found not in (said, INTERRUPTED):
                said = found
                logger.error("%s is damaged: %s", self._path, found)
            await asyncio.sleep(max(PAUSE, 10 * (monotonic() - began)))

    def _find(self) -> str:
        """`ok`, or what is wrong."""
        try:
            uri = f"{Path(self._path).as_uri()}?mode=ro"  # it writes nothing back when it is closed
            with closing(sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=60)) as connection:
                self._connection = connection
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
                return " ".join(str(connection.execute(f"PRAGMA {self._check}(1)").fetchone()[0]).split())
        except sqlite3.Error as error:
            return str(error)  # of a look that was ended: INTERRUPTED
        finally:
            self._connection = None
