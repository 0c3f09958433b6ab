"""The session: what an endpoint does with the database, in one transaction and for one owner, whose rows alone it sees.

It writes what it is told to, when it is told to. The ORM's own session, which keeps track of every object and works out
what to write, costs 100 µs more for a read, and 180 for a write.
"""

import asyncio
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Row, bindparam, delete, func, insert, literal_column, update
from sqlmodel import select

from todo_api.database.owners import THIS_OWNER, NotIsolatedError, check, of_owner, stamp
from todo_api.database.transactions import Transaction, Transactions, Values
from todo_api.single_model.table import Table, changes_of, column, make

T = TypeVar("T", bound=Table)

COMMIT_TIME = 1.0
"""Seconds that a commit may take at the least, whatever the deadline: of one that is given up, nobody knows."""


class Session:
    """One transaction, which begins with its first statement; a dry run undoes it in place of the commit.

    A row is an object of its table class, and holds what was read or written last.
    """

    def __init__(
        self,
        transactions: Transactions,
        owner: str,
        *,
        dry_run: bool = False,
        deadline: asyncio.Timeout | None = None,
    ) -> None:
        if not owner:
            raise NotIsolatedError("this session has no owner")
        self.owner = owner
        self.dialect = transactions.dialect
        self._transactions = transactions
        self._transaction: Transaction | None = None
        self._dry_run = dry_run
        self._deadline = deadline

    async def fetch(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        """What a select finds among the owner's rows; one of a class finds its columns."""
        return await self._fetch(*of_owner(self.owner, statement, values))

    async def scalar(self, statement: Executable, values: Values | None = None) -> Any:
        """The first value that a select finds."""
        return (await self.fetch(statement, values))[0][0]

    async def change(self, statement: Executable, values: Values | None = None) -> int:
        """Run an update or a delete by class on the owner's rows; how many it changed."""
        return await self._change(*of_owner(self.owner, statement, values))

    async def get(self, table: type[T], row_id: int) -> T | None:
        """The row with this id, locked until the end of the transaction where there is one; None when there is none."""
        rows = await self.fetch(_select_one(table, locked=self._transactions.locks), {"row_id": row_id})
        return make(table, rows[0]._asdict()) if rows else None

    async def wait_for_turn(self) -> None:
        """Wait for the owner's other changes of many rows: on PostgreSQL two of them could each lock what both need.

        To be called before the first row is locked. On SQLite every transaction waits for its turn.
        """
        if self.dialect == "postgresql":
            await self._fetch(_TURN, {THIS_OWNER.key: self.owner})

    async def insert(self, row: Table, **expressions: ColumnElement[Any]) -> None:
        """Add a row, which gets its id, and the values that the database finds for `expressions`."""
        statement = _insert(type(row), tuple(expressions.items()))
        (made,) = await self._fetch(statement, self._values_of(row) | {THIS_OWNER.key: self.owner})
        row.__dict__.update(made._mapping)

    async def insert_all(self, rows: Sequence[Table]) -> None:
        """Add rows of one table class, which get their ids in their order."""
        made = await self._fetch(_insert(type(rows[0]), ()), [self._values_of(row) for row in rows])
        for row, each in zip(rows, made, strict=True):
            row.__dict__.update(each._mapping)

    async def update(self, row: Table, values: dict[str, Any]) -> None:
        """Change a row that this session has locked; what has these values already stays as it is, version and all."""
        if "owner" in values:
            raise NotIsolatedError("a row stays its owner's")
        if new := changes_of(row, values):
            await self._change_one(_update_one(type(row), tuple(new)), row, new)
            row.__dict__.update(new)

    async def delete(self, row: Table) -> None:
        """Delete a row that this session has locked."""
        await self._change_one(_delete_one(type(row)), row, {})

    async def commit(self) -> None:
        """Make the changes permanent; undo them, if this is a dry run."""
        try:
            if self._transaction is not None and not self._dry_run:
                self._leave_time()
                await self._transaction.commit()
        finally:
            await self.close()

    async def close(self) -> None:
        """Undo what was not committed."""
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            await transaction.close()

    def _leave_time(self) -> None:
        """Put off a deadline that would come before a commit is answered."""
        if self._deadline is not None and (deadline := self._deadline.when()) is not None:
            soonest = asyncio.get_running_loop().time() + COMMIT_TIME
            if deadline < soonest:
                self._deadline.reschedule(soonest)

    async def _fetch(self, statement: Executable, values: Values) -> Sequence[Row[Any]]:
        if self._transaction is None:
            self._transaction = await self._transactions.begin()
        return await self._transaction.fetch(statement, values)

    async def _change(self, statement: Executable, values: Values) -> int:
        if self._transaction is None:
            self._transaction = await self._transactions.begin()
        return await self._transaction.change(statement, values)

    def _values_of(self, row: Table) -> dict[str, Any]:
        stamp(row, self.owner)
        return {name: getattr(row, name) for name in type(row).model_fields if name != "id"}

    async def _change_one(self, statement: Executable, row: Table, values: dict[str, Any]) -> None:
        check(row, self.owner)
        key = {f"row_{name}": getattr(row, name) for name in _key_names(type(row))}
        if await self._change(statement, values | key) != 1:
            raise RuntimeError(f"this {type(row).__name__} was not locked by its session: another has changed it")


_TURN = select(func.pg_advisory_xact_lock(func.hashtextextended(THIS_OWNER, literal_column("0"))))

# Each statement is made once, as to make one and its cache key costs a quarter of a request.


@cache
def _select_one(table: type[Table], *, locked: bool) -> Executable:
    statement = select(table).where(column(table, "id") == bindparam("row_id"))
    return statement.with_for_update() if locked else statement


@lru_cache(maxsize=64)
def _insert(table: type[Table], expressions: tuple[tuple[str, ColumnElement[Any]], ...]) -> Executable:
    columns = table.__table__.c
    made = ["id", *(name for name, _ in expressions)]
    return (
        insert(table.__table__)
        .values(dict(expressions))
        .returning(*(columns[name] for name in made), sort_by_parameter_order=True)
    )


@lru_cache(maxsize=512)
def _update_one(table: type[Table], names: tuple[str, ...]) -> Executable:
    return update(table.__table__).where(*_key(table)).values({name: bindparam(name) for name in names})


@cache
def _delete_one(table: type[Table]) -> Executable:
    return delete(table.__table__).where(*_key(table))


@cache
def _key_names(table: type[Table]) -> list[str]:
    """What a row is known by when it is written: its version too, so that no change of another can be lost."""
    return [name for name in ("id", "owner", "version") if name in table.model_fields]


def _key(table: type[Table]) -> list[ColumnElement[bool]]:
    return [table.__table__.c[name] == bindparam(f"row_{name}") for name in _key_names(table)]
