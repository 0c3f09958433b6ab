"""Moves of rows from one table to another: for a deleted row, which keeps its id, and may come back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Executable, bindparam, delete, insert
from sqlmodel import select

from todo_api.database.counters import Counted
from todo_api.database.owners import move_of_owner
from todo_api.database.statements import is_among
from todo_api.single_model.table import column

CHANGE: Final = "change_of_session"
"""The bound parameter of a move that the session sets."""


@dataclass(frozen=True, eq=False)
class Move:
    """A move of the rows of `source` that match to `target`, a class that has the same columns."""

    source: type[Counted]
    target: type[Counted]
    which: ColumnElement[bool]
    values: Mapping[str, ColumnElement[Any]]
    """The columns of `target` that `source` has not, or with other values; `change` is the session's."""
    _built: dict[str, tuple[Executable, Executable]] = field(default_factory=dict, init=False)

    def statements(self, dialect: str) -> tuple[Executable, Executable]:
        """An INSERT and a DELETE, of the rows of THIS_OWNER alone; built once, as that costs more than to run them."""
        if dialect not in self._built:
            number = bindparam(CHANGE, type_=BigInteger)
            values = {**self.values, "change": number}
            names = self.target.__table__.columns.keys()
            columns: Any = [values[name] if name in values else column(self.source, name) for name in names]
            copy = insert(self.target).from_select(names, select(*columns).where(self.which))
            # No row is in both tables but those that were copied.
            copied = select(column(self.target, "id")).where(column(self.target, "change") == number)
            removal = delete(self.source).where(is_among(column(self.source, "id"), copied, dialect))
            self._built[dialect] = (move_of_owner(copy, copy.select), move_of_owner(removal, removal))
        return self._built[dialect]
