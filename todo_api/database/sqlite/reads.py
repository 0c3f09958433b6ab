"""The reads of SQLite: in the event loop, and in threads when they take long."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from sqlalchemy import Executable
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.deadlines import Deadline
from todo_api.database.sqlite.connections import Reader
from todo_api.database.sqlite.threads import IN_PLACE, IN_PLACE_BESIDE, Places, Thread, is_interrupted
from todo_api.database.transactions import TAKES_LONG, Found, Values


class SingleReads:
    """The reads of all sessions, on one connection; those that take long go on in threads, on some more."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine, slow_engine: AsyncEngine, pool: ThreadPoolExecutor) -> None:
        self._reader = Reader(engine)
        self._slow_engine = slow_engine
        self._pool = pool
        self._idle: list[Reader] = []
        self._places = Places()

    async def begin(self, owner: str, deadline: Deadline) -> "_Read":
        return _Read(self, owner)

    def time_in_place(self) -> float:
        """Until when the statements of a session that begins now may run in the event loop."""
        return monotonic() + (IN_PLACE_BESIDE if self._places.taken else IN_PLACE)

    def find(self, statement: Executable, values: Values, until: float) -> Found | None:
        """What a statement finds; None when it takes long, or has to wait for another process that locks the file."""
        try:
            self._reader.sqlite.limit.until = until
            return self._reader.find(statement, values)
        except (MissingGreenlet, StatementError) as error:
            if not isinstance(getattr(error, "orig", error), MissingGreenlet) and not is_interrupted(error):
                raise
        return None

    async def find_in_thread(self, owner: str, statement: Executable, values: Values) -> Found:
        async with self._places.one(owner):
            reader = self._idle.pop() if self._idle else Reader(self._slow_engine)
            try:
                await greenlet_spawn(reader.open)
                found = await Thread(self._pool).run(reader.sqlite, lambda: reader.find(statement, values))
            except BaseException:
                reader.close()
                raise
            self._idle.append(reader)
            return found

    async def dispose(self) -> None:
        for reader in (self._reader, *self._idle):
            reader.close()
        self._idle.clear()


class _Read:
    def __init__(self, reads: SingleReads, owner: str) -> None:
        self._reads = reads
        self._owner = owner
        self._until = reads.time_in_place()

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        found = None
        if monotonic() < self._until and TAKES_LONG not in statement.get_execution_options():
            found = self._reads.find(statement, values, self._until)
        if found is None:
            self._until = 0  # the next ones will hardly be quicker
            found = await self._reads.find_in_thread(self._owner, statement, values)
        return found

    async def number(self, owner: str) -> int:
        raise TypeError("a session that only reads changes nothing")

    async def commit(self) -> None:
        """Nothing was changed."""

    async def rollback(self) -> None:
        """Nothing was changed."""
