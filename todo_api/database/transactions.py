"""What a session needs from either database: transactions, and connections on which a group of writes is made."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Executable, Row

from todo_api.database.deadlines import Deadline

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""The bound parameters of a statement, once or many times."""


TAKES_LONG = "takes_long"
"""The execution option of a select that may take long in a way that can't be interrupted."""


class Found(NamedTuple):
    """The outcome of a statement: its rows, and how many rows it changed."""

    rows: Sequence[Row[Any]]
    changed: int


class Transaction(Protocol):
    """A transaction. One that only reads runs each statement by itself."""

    async def execute(self, statement: Executable, values: Values, *, long: bool = False) -> Found:
        """Run a statement; `long` says that it may take long."""

    async def number(self, owner: str) -> int:
        """The number that all changes of this owner get in this transaction."""

    async def commit(self) -> None:
        """Make the changes permanent; raises the database's error when that fails."""

    async def rollback(self) -> None:
        """Undo the changes."""


class Transactions(Protocol):
    """A source of transactions."""

    dialect: str

    async def begin(self, owner: str, deadline: Deadline) -> Transaction:
        """A new transaction for the rows of an owner; waits until it may begin.

        A change of many shares its transaction with no other.
        """

    async def dispose(self) -> None:
        """Close what is kept open."""


class GroupConnection(Protocol):
    """The connection of a group of writes that share one transaction of the database, a savepoint each."""

    @property
    def is_whole(self) -> bool:
        """Whether the transaction is still open; after some faults a database undoes all of it."""

    async def begin(self, owner: str, many_seconds: float | None) -> int | None:
        """Begin the transaction; the owner's next number, where taking it orders the processes."""

    async def number(self, owner: str) -> int:
        """Take the owner's next number."""

    async def execute(self, statement: Executable, values: Values, *, long: bool) -> Found:
        """Run a statement; `long` says that it may take long."""

    async def savepoint(self) -> None:
        """Begin a write within the transaction."""

    async def undo(self) -> None:
        """Undo the last write."""

    async def commit(self) -> None:
        """Commit the transaction, and let go of the connection."""

    async def rollback(self) -> None:
        """Undo the transaction, and let go of the connection."""

    async def drop(self) -> None:
        """Close the connection, whatever state it is in."""
