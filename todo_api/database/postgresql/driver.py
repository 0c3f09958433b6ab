"""The driver of PostgreSQL: days, the end of a connection, and a server that is away for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, OperationalError

CLOSE_TIMEOUT: Final = 0.5
"""Seconds that undoing a transaction, or closing a connection in order, may take: no answer depends on either."""

FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.2
"""Seconds between two attempts to reach the server."""

_AWAY_STATES = {"08000", "08001", "08003", "08004", "08006", "08P01", "53300", "57P01", "57P02", "57P03"}
"""SQLSTATEs: no connection (08P01 by PgBouncer), too many of them, the server shuts down or starts up."""

FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

T = TypeVar("T")


async def when_there(attempt: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Do what has not begun yet. While the database can't be reached, try again, for most of so many seconds.

    So an idle connection that was ended, a restart and a moment without free connections delay a request, and do not
    refuse it. It costs nothing, where a ping before each use would cost a round trip.
    """
    clock = asyncio.get_running_loop().time
    last, pause = clock() + seconds * 0.9, 0.0
    while True:
        try:
            return await attempt()
        except (DBAPIError, OSError) as error:
            if not _is_away(error) or clock() + pause > last:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)


def _is_away(error: Exception) -> bool:
    """Whether nothing was done: the server could not be reached, has ended the connection, or lost the statement."""
    if not isinstance(error, DBAPIError):
        return not isinstance(error, TimeoutError)
    if isinstance(error.orig, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError):
        return True  # the schema has changed; the driver has forgotten its statements, and prepares them anew
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state in _AWAY_STATES


_FIRST_DAY, _EPOCH, _LAST_DAY = (day.toordinal() for day in (date.min, date(2000, 1, 1), date.max))


def prepare(connection: Any, settings: str) -> None:
    """Make a new connection ready: run this SQL, if there is some, and keep the last day."""
    try:
        if settings:
            connection.run_async(lambda driver: driver.execute(settings))
        keep_the_last_day(connection)
    except FAULTS as error:
        raise OperationalError(settings, None, error) from error


def keep_the_last_day(connection: Any) -> None:
    """Have asyncpg write 9999-12-31 as this day, not as infinity, which is later than all instants on it.

    The first day stays minus infinity, which is what asyncpg makes of its first instant.
    """
    connection.run_async(
        lambda driver: driver.set_type_codec(
            "date", schema="pg_catalog", encoder=_write_day, decoder=_read_day, format="binary"
        )
    )


def _write_day(day: date) -> bytes:
    days = -(2**31) if day == date.min else day.toordinal() - _EPOCH
    return days.to_bytes(4, "big", signed=True)


def _read_day(data: bytes) -> date:
    day = int.from_bytes(data, "big", signed=True) + _EPOCH
    return date.fromordinal(min(max(_FIRST_DAY, day), _LAST_DAY))


class AsyncpgConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's own signature
        """Take leave soon: a server that does not answer would hold up the 503, and the end of the process."""
        await super().close(timeout=CLOSE_TIMEOUT)
