"""Every owner's rows apart, in one place: the session.

A session works for the one owner in its `info`. What it reads, updates and deletes is filtered by that owner, and what
it adds is stamped with it, so that no route can forget to. A session without an owner refuses to run, and so does any
statement that SQLAlchemy could not filter: text, an INSERT, a table in place of its class (`session.get` and `refresh`
write theirs so; select by class).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Final

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
    event,
)
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate
from sqlmodel import Field

from todo_api.filters import IndexTable
from todo_api.table import Internal, Table

LOCAL: Final = "local"
"""The owner of everything on a server for one machine, and of what was there before there were owners."""
ALL_OWNERS: Final = "*"
"""In place of an owner, for the command line alone: nothing is filtered or stamped. It is no name of an owner."""
OWNER: Final = "owner"
"""Where a session's `info` has its owner."""

_OWNER = bindparam("owner_of_session", type_=String)


class Owned(Table):
    """The base of every table class whose rows belong to somebody."""

    owner: Annotated[str, Internal] = Field(default=None, max_length=64)
    """Whose row it is; set and checked by the session."""


def owned_tables(base: type[Owned] = Owned) -> list[type[Owned]]:
    return [each for table in base.__subclasses__() for each in (table, *owned_tables(table))]


class NotIsolatedError(RuntimeError):
    """A fault of this program, never of a request: it can't be told whose rows a statement would touch."""


def _owner(session: Session) -> str:
    owner = session.info.get(OWNER)
    if not isinstance(owner, str) or not owner:
        raise NotIsolatedError("this session has no owner")
    return owner


@event.listens_for(Session, "do_orm_execute")
def _filter(state: ORMExecuteState) -> None:
    owner = _owner(state.session)
    if owner == ALL_OWNERS:
        return
    if state.is_select:
        # With the owner as a parameter, a statement is filtered once and for all: 14 µs a request instead of 87.
        state.statement = _filtered_select(state.statement)
        state.parameters = {**(state.parameters or {}), _OWNER.key: owner}  # type: ignore[dict-item]  # no list here
    elif state.is_orm_statement and (state.is_update or state.is_delete):
        # Here a parameter would be taken for a value to set.
        state.statement = _restrict(state.statement, lambda row: row.owner == owner)
    else:
        raise NotIsolatedError("only a select, an update or a delete by class can be filtered by owner")


@lru_cache(maxsize=1024)
def _filtered_select(statement: Executable) -> Executable:
    return _restrict(statement, lambda row: row.owner == _OWNER)


def _restrict(statement: Executable, belongs: Callable[[Any], ColumnElement[bool]]) -> Executable:
    """The statement, with a criterion for every class of Owned wherever it stands in there.

    The criterion is a function, as an expression would name the wrong table in a JOIN with an alias.
    """
    _check(statement)
    # Not for the loaders of relations, whose statements come through _filter themselves.
    options = {"include_aliases": True, "propagate_to_loaders": False}
    return statement.options(*(with_loader_criteria(table, belongs, **options) for table in owned_tables()))


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


@event.listens_for(Session, "before_flush")
def _stamp(session: Session, context: object, instances: object) -> None:
    owner = _owner(session)
    if owner == ALL_OWNERS:
        return
    for row in session.new:
        if isinstance(row, Owned) and row.owner is None:
            row.owner = owner
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, Owned) and row.owner != owner:
            raise NotIsolatedError(f"this {type(row).__name__} belongs to somebody else")
