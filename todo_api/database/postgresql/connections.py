"""What reads and writes of PostgreSQL share: the places in the pool, and how a statement is run."""

import asyncio
from collections.abc import Sequence

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from todo_api.database.transactions import Found, Values

POOL_SIZE = 10
"""Connections that one process holds on a PostgreSQL server at the most."""


async def take(slots: Sequence[asyncio.Semaphore]) -> None:
    """Take one of each, in their order; first come, first served."""
    for number, each in enumerate(slots):
        try:
            await each.acquire()
        except BaseException:
            free(slots[:number])
            raise


def free(slots: Sequence[asyncio.Semaphore]) -> None:
    for each in slots:
        each.release()


async def run(connection: AsyncConnection, statement: Executable, values: Values) -> Found:
    try:
        result = await connection.execute(statement, values)
    except asyncpg.InternalClientError as error:  # the connection was ended just before, and SQLAlchemy does not see it
        await connection.invalidate()
        raise OperationalError("", None, error, connection_invalidated=True) from error
    return Found(result.all() if result.returns_rows else (), result.rowcount)
