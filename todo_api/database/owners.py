"""Every owner's rows apart, in one place: the session, which passes each statement through here.

What it reads, updates and deletes is filtered by its owner, and what it adds is stamped with it, so that no route can
forget to. A statement that can't be filtered is refused: text, an INSERT, a table in place of its class.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Alias,
    ColumnClause,
    ColumnElement,
    Executable,
    Select,
    String,
    TableClause,
    TextClause,
    bindparam,
)
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate
from sqlmodel import Field

from todo_api.database.transactions import Values
from todo_api.single_model.columns import IndexTable
from todo_api.single_model.marks import Internal
from todo_api.single_model.table import Table

LOCAL: Final = "local"
"""The owner of everything on a server for one machine, and of what was there before there were owners."""
ALL_OWNERS: Final = "*"
"""In place of an owner, for the command line alone: nothing is filtered or stamped. It is no name of an owner."""
THIS_OWNER = bindparam("owner_of_session", type_=String)
"""The owner of the session, in a statement that it executes."""


class Owned(Table):
    """The base of every table class whose rows belong to somebody."""

    owner: Annotated[str, Internal] = Field(default=None, max_length=64)
    """Whose row it is; set by the session."""


def owned_tables(base: type[Owned] = Owned) -> list[type[Owned]]:
    """The table classes whose rows belong to somebody."""
    found = [each for table in base.__subclasses__() for each in (table, *owned_tables(table))]
    return [table for table in found if hasattr(table, "__table__")]


class NotIsolatedError(RuntimeError):
    """A fault of this program, never of a request: it can't be told whose rows a statement would touch."""


def of_owner(owner: str, statement: Any, values: Values | None) -> tuple[Executable, Values]:
    """The statement and its values, with all that it is about restricted to the rows of an owner."""
    if owner == ALL_OWNERS:
        return statement, values or {}
    if statement.is_select and not isinstance(values, Sequence):
        # With the owner as a parameter, a statement that is kept is filtered once and for all, at 70 µs.
        return _filtered_select(statement), {**(values or {}), THIS_OWNER.key: owner}
    if (statement.is_update or statement.is_delete) and "entity" in statement.entity_description:
        # Here a parameter would be taken for a value to set.
        return _restrict(statement, lambda row: row.owner == owner), values or {}
    raise NotIsolatedError("only a select, an update or a delete by class can be filtered by owner")


def move_of_owner(statement: Any, found: Any) -> Executable:
    """A statement of a move, restricted to the rows of THIS_OWNER, in what it finds too."""
    _check(found)
    restricted: Executable = statement.options(*_criteria(lambda row: row.owner == THIS_OWNER))
    return restricted


_filtered: WeakKeyDictionary[Executable, Executable] = WeakKeyDictionary()


def _filtered_select(statement: Executable) -> Executable:
    found = _filtered.get(statement)
    if found is None:
        found = _filtered[statement] = _restrict(statement, lambda row: row.owner == THIS_OWNER)
    return found


def _restrict(statement: Executable, belongs: Callable[[Any], ColumnElement[bool]]) -> Executable:
    """The statement, with a criterion for every class of Owned wherever it stands in there."""
    _check(statement)
    return statement.options(*_criteria(belongs))


def _criteria(belongs: Callable[[Any], ColumnElement[bool]]) -> list[Any]:
    # The criterion is a function, as an expression would name the wrong table in a JOIN with an alias.
    return [with_loader_criteria(table, belongs, include_aliases=True) for table in owned_tables()]


def _check(statement: Any) -> None:
    """Raise NotIsolatedError for a statement of which a part is text, or a table in place of its class."""
    for part in iterate(statement):
        if isinstance(part, TextClause) or _is_bare_column(part) or _is_bare_select(part):
            raise NotIsolatedError(f"can't be filtered by owner, write it with table classes: {part}")


def _is_bare_column(part: ExternallyTraversible) -> bool:
    return isinstance(part, ColumnClause) and _is_table(part.table) and "parententity" not in part._annotations


def _is_bare_select(part: ExternallyTraversible) -> bool:
    if not isinstance(part, Select) or part._propagate_attrs:
        return False
    return any(_is_table(source) for source in part.get_final_froms())


def _is_table(source: Any) -> bool:
    while isinstance(source, Alias):
        source = source.element
    return isinstance(source, TableClause) and not isinstance(source, IndexTable)


def stamp(row: Table, owner: str) -> None:
    """Say whose a new row is; raises NotIsolatedError when it is somebody else's."""
    if isinstance(row, Owned) and row.owner is None and owner != ALL_OWNERS:
        row.__dict__["owner"] = owner  # to set the attribute would cost 3 µs
    check(row, owner)


def check(row: Table, owner: str) -> None:
    """Raise NotIsolatedError for a row that is somebody else's."""
    if isinstance(row, Owned) and owner not in (ALL_OWNERS, row.owner):
        raise NotIsolatedError(f"this {type(row).__name__} belongs to somebody else")
