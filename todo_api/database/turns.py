"""Turns: the writes of one owner are made one after the other, and committed in groups.

A commit costs more than the rest of a small write, as it waits for the disk. So the writes that are ready at the same
time share a transaction of the database. Each is a savepoint, so a write that fails undoes itself alone, and none is
answered before the commit. SQLite has one writer at a time, so all owners share one turn there.
"""

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from sqlalchemy import Executable

from todo_api.database.deadlines import Deadline
from todo_api.database.transactions import Found, GroupConnection, Values

MAX_GROUP: Final = 32
"""Writes that a group waits for; PostgreSQL keeps 64 savepoints of a transaction at hand."""
MAX_TIME: Final = 0.05
"""Seconds for which a group waits for more writes."""


class _UndoneError(ConnectionError):
    """The group of a write has failed, so nothing more can be done in it."""

    def __init__(self) -> None:
        super().__init__("the transaction was undone")


class Turns:
    """The transactions that write. `connect` makes the connection of a group, `turn_of` names the turn of an owner."""

    def __init__(self, dialect: str, connect: Callable[[], GroupConnection], turn_of: Callable[[str], str]) -> None:
        self.dialect = dialect
        self._connect = connect
        self._turn_of = turn_of
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def begin(self, owner: str, deadline: Deadline) -> "Write":
        name = self._turn_of(owner)
        turn = self._turns.get(name)
        if turn is None:
            turn = self._turns[name] = _Turn(self._connect)
        return await turn.begin(owner, deadline)

    async def dispose(self) -> None:
        for turn in list(self._turns.values()):
            if turn.group is not None:
                await turn.fail(turn.group, ConnectionError("the database was closed before the commit"))


class _Group:
    """Writes that share a transaction."""

    def __init__(self, connection: GroupConnection, *, is_shared: bool) -> None:
        self.connection = connection
        self.is_shared = is_shared
        self.begun = asyncio.get_running_loop().time()
        self.numbers: dict[str, int] = {}
        self.wrote = False
        self.ended = 0
        """Writes that have ended, and wait for the commit."""
        self._settled = asyncio.Event()
        self._failure: BaseException | None = None
        self.commit: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return self.ended >= MAX_GROUP or asyncio.get_running_loop().time() - self.begun > MAX_TIME

    def settle(self, error: BaseException | None) -> None:
        """Tell each write how the group ended."""
        self._failure = error
        self._settled.set()

    async def wait(self) -> None:
        """Wait for the commit, whatever happens to the caller: the answer depends on it. Raises what it raised."""
        while not self._settled.is_set():
            with suppress(CancelledError):
                await self._settled.wait()
        if self._failure is not None:
            raise self._failure


class _Turn:
    """The turn of an owner: one write at a time has it, from its first statement to its last."""

    def __init__(self, connect: Callable[[], GroupConnection]) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()  # first come, first served
        self.group: _Group | None = None

    async def begin(self, owner: str, deadline: Deadline) -> "Write":
        """Join the open group, or begin one when it is full. A change of many begins one of its own."""
        is_of_many = deadline.many_seconds is not None
        await self._lock.acquire()
        try:
            deadline.leave_time()  # one that is given up in the midst of a group undoes all of it
            if self.group is not None and (is_of_many or self.group.is_full):
                await _wait_for(asyncio.create_task(self._close(self.group)))
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise CancelledError
            nested = self.group is not None
            if self.group is None:
                connection = self._connect()
                number = await connection.begin(owner, deadline.many_seconds)
                self.group = _Group(connection, is_shared=not is_of_many)
                if number is not None:
                    self.group.numbers[owner] = number
            else:
                await self._try(self.group, self.group.connection.savepoint)
            return Write(self, self.group, nested=nested)
        except BaseException:
            self._lock.release()
            raise

    async def end(self, group: _Group, *, keep: bool, nested: bool, clean: bool) -> None:
        """End a write, let the next one begin, and wait for the commit of the group.

        Nothing of a write is undone that is `clean`: it has written nothing.
        """
        try:
            if self.group is not group:
                if keep:
                    raise _UndoneError
                return
            if not keep and not clean and not nested:
                self.group = None  # the write was alone
                await group.connection.rollback()
                return
            if not keep and not clean:
                await self._try(group, group.connection.undo)
                if self.group is not group:  # it was closed meanwhile
                    return
            group.wrote = group.wrote or keep
            if keep or nested:
                group.ended += 1
            if not group.is_shared:
                await _wait_for(asyncio.create_task(self._close(group)))
        finally:
            self._lock.release()
        if group.commit is None and self.group is group:
            group.commit = asyncio.create_task(self._commit(group))
        if keep or nested:
            await group.wait()

    async def fail(self, group: _Group, error: BaseException) -> None:
        """Give up a group: nothing of it was kept."""
        if self.group is group:
            self.group = None
            try:
                await group.connection.drop()
            finally:
                # That one request was cancelled is no reason for the others.
                group.settle(error if isinstance(error, Exception) else _UndoneError())

    async def _try(self, group: _Group, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except BaseException as error:
            await self.fail(group, error)
            raise

    async def _commit(self, group: _Group) -> None:
        """Commit a group when no more writes join it. Those that wait for the turn already join it first."""
        seen = 0
        while seen < group.ended and not group.is_full:
            seen = group.ended
            await asyncio.sleep(0)
        async with self._lock:
            if self.group is group:
                await self._close(group)

    async def _close(self, group: _Group) -> None:
        """Commit what was written in a group, and tell its writes. Needs the lock."""
        if self.group is not group:
            return
        self.group = None
        failure: BaseException | None = CancelledError()
        try:
            await (group.connection.commit() if group.wrote else group.connection.rollback())
            failure = None
        except Exception as error:  # each write of the group raises it
            failure = error
        finally:
            group.settle(failure)


async def _wait_for(commit: Future[None]) -> None:
    """Wait for a commit, whatever happens to the caller: the answer depends on it."""
    while not commit.done():
        with suppress(CancelledError):
            await asyncio.shield(commit)


class Write:
    """The transaction of one request: all of the group's, or nested in it as a savepoint."""

    def __init__(self, turn: _Turn, group: _Group, *, nested: bool) -> None:
        self._turn = turn
        self._group = group
        self._nested = nested
        self._wrote = False
        self._is_clean = True
        """Whether there is nothing to undo."""
        self._counted: list[str] = []
        """Owners whose number this write has taken."""

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        group = self._group
        if self._turn.group is not group:
            raise _UndoneError
        try:
            found = await group.connection.execute(statement, values, long=long)
        except BaseException as error:
            self._is_clean = False  # on PostgreSQL, nothing more can be done before it is undone
            if not group.connection.is_whole:
                await self._turn.fail(group, error)
            raise
        if statement.is_dml and (found.rows or found.changed):
            self._wrote, self._is_clean = True, False
        return found

    async def number(self, owner: str) -> int:
        numbers = self._group.numbers
        if owner not in numbers:
            self._is_clean = False
            numbers[owner] = await self._group.connection.number(owner)
            self._counted.append(owner)
        return numbers[owner]

    async def commit(self) -> None:
        await self._end(keep=self._wrote)

    async def rollback(self) -> None:
        await self._end(keep=False)

    async def _end(self, *, keep: bool) -> None:
        if not keep:
            for owner in self._counted:
                self._group.numbers.pop(owner, None)
        # What this write saw of others in its group may be in its answer, so it waits for their commit in any case.
        await self._turn.end(self._group, keep=keep, nested=self._nested, clean=self._is_clean)
