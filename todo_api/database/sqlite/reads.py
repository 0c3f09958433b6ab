"""The reads of SQLite: in the event loop, and in threads when they take long."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Executable
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todo_api.database.sqlite.connections import Reader
from todo_api.database.sqlite.threads import IN_PLACE, IN_PLACE_BESIDE, Places, Thread, is_interrupted
from todo_api.database.transactions import Found, Values


class SingleReads:
    """The reads of all sessions, on one connection; those that take long go on in threads, on some more."""

    dialect = "sqlite"

    def __init__(self, engine: AsyncEngine, slow_engine: AsyncEngine, pool: ThreadPoolExecutor) -> None:
        self._reader = Reader(engine)
        self._slow_engine = slow_engine
        self._pool = pool
        self._idle: list[Reader] = []
        self._places = Places()

    async def begin(self, owner: str, many_seconds: float | None = None) -> "_Read":
        return _Read(self, owner)

    async def find(self, owner: str, statement: Executable, values: Values) -> Found:
        try:
            self._reader.may_take(IN_PLACE_BESIDE if self._places.taken else IN_PLACE)
            return self._reader.find(statement, values)
        except (MissingGreenlet, StatementError) as error:
            # Another process has locked the file, or it takes long: only a thread can wait.
            if not isinstance(getattr(error, "orig", error), MissingGreenlet) and not is_interrupted(error):
                raise
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

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        return await self._reads.find(self._owner, statement, values)

    async def number(self, owner: str) -> int:
        raise TypeError("a session that only reads changes nothing")

    async def commit(self) -> None:
        """Nothing was changed."""

    async def rollback(self) -> None:
        """Nothing was changed."""
