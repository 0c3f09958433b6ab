"""Transactions, in the form in which a session asks for them of either database."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""What a statement is executed with, once or many times."""


class Transaction(Protocol):
    """A transaction; without one, where nothing is changed, single statements."""

    async def fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        """The rows of a statement."""

    async def change(self, statement: Executable, values: Values) -> int:
        """How many rows a statement changed."""

    async def commit(self) -> None:
        """Make the changes permanent; raises what the database says when it can't."""

    async def close(self) -> None:
        """Roll back what was not committed."""


class Transactions(Protocol):
    """Where transactions come from."""

    dialect: str
    locks: bool
    """Whether rows are read to be changed."""

    async def begin(self) -> Transaction:
        """A new transaction; waits until it may begin."""

    async def dispose(self) -> None:
        """Close what is kept open."""


class PooledTransactions:
    """Those of a database server, on the connections of a pool."""

    def __init__(self, engine: AsyncEngine, *, locks: bool) -> None:
        self.dialect = engine.dialect.name
        self.locks = locks
        self._engine = engine

    async def begin(self) -> Transaction:
        return _Pooled(await self._engine.connect())

    async def dispose(self) -> None:
        """The engine closes its pool."""


class _Pooled:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        return (await self._connection.execute(statement, values)).all()

    async def change(self, statement: Executable, values: Values) -> int:
        return (await self._connection.execute(statement, values)).rowcount

    async def commit(self) -> None:
        await self._connection.commit()

    async def close(self) -> None:
        await self._connection.close()
