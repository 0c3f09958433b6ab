"""The time that a session has, and the time that it leaves to others."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import monotonic
from types import TracebackType
from typing import Final, Self, TypeVar

COMMIT_TIME: Final = 1.0
"""Seconds that a commit may take at least, whatever the deadline: nobody knows the outcome of one that is given up."""
STRETCH: Final = 0.005
"""Seconds for which a session may prepare many rows at a stretch."""

FEW: Final = 1000
"""Rows that are changed within the time of an ordinary request, whatever else the machine does."""

T = TypeVar("T")


class NeedsTimeError(Exception):
    """More rows would be changed than there is time for; the request begins anew as a change of many."""


class Deadline:
    """Ends a block with TimeoutError when its time is up, which is counted from the first statement on.

    A change of many has `seconds` to begin, and then `many_seconds` of its own.
    """

    def __init__(self, seconds: float | None = None, many_seconds: float | None = None) -> None:
        self._seconds = seconds
        self.many_seconds = many_seconds
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)

    def begin(self) -> None:
        """Count from now on, unless it is counted already."""
        if self._seconds is not None and self._timeout.when() is None:
            self._end_in(self._seconds)

    def go_on(self) -> None:
        """Count anew for a change of many that has begun."""
        if self.many_seconds is not None:
            self._end_in(self.many_seconds)

    def expect(self, rows: int) -> None:
        """Raise NeedsTimeError if so many rows are more than this time is for."""
        if rows > FEW and self.many_seconds is None:
            raise NeedsTimeError

    def leave_time(self) -> None:
        """Put off an end that would come before what is begun now is done: undoing it takes others along."""
        end = self._timeout.when()
        if end is not None and end - asyncio.get_running_loop().time() < COMMIT_TIME:
            self._end_in(COMMIT_TIME)

    def _end_in(self, seconds: float) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)


async def with_pauses(rows: Iterable[T]) -> AsyncIterator[T]:
    """The rows, with pauses in which others are answered: to fold a long text takes milliseconds."""
    since = monotonic()
    for row in rows:
        if monotonic() - since > STRETCH:
            await asyncio.sleep(0)
            since = monotonic()
        yield row
