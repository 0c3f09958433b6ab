"""The statements of a session, each built once: to build one and its cache key costs a quarter of a request."""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    any_,
    bindparam,
    delete,
    func,
    insert,
    update,
)
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.single_model.table import Table, column


@cache
def select_one(table: type[Table]) -> Any:
    """The row with the id `row_id`."""
    return select(table).where(column(table, "id") == bindparam("row_id"))


@lru_cache(maxsize=64)
def insert_rows(table: type[Table], expressions: tuple[tuple[str, ColumnElement[Any]], ...]) -> Executable:
    """New rows. `expressions` are members whose value the database works out."""
    returned = ["id", *(name for name, _ in expressions)]
    columns = [table.__table__.c[name] for name in returned]
    return insert(table.__table__).values(dict(expressions)).returning(*columns, sort_by_parameter_order=True)


@lru_cache(maxsize=512)
def update_one(table: type[Table], names: tuple[str, ...]) -> Executable:
    """New values of these members for one row."""
    return update(table.__table__).where(*_key(table)).values({name: bindparam(name) for name in names})


@cache
def delete_one(table: type[Table]) -> Executable:
    return delete(table.__table__).where(*_key(table))


def is_among(row_id: ColumnElement[Any], ids: SelectOfScalar[int], dialect: str) -> ColumnElement[bool]:
    """Whether an id is one of those that a select finds."""
    if dialect == "postgresql":
        # Found once: of rows that are new, its planner knows nothing, and may look for all of them once for each.
        return row_id == any_(func.array(ids.scalar_subquery()))
    return row_id.in_(ids)


def key_values(table: type[Table], stored: dict[str, Any]) -> dict[str, Any]:
    """The bound parameters that name a row."""
    return {f"row_{name}": stored[name] for name in _key_names(table)}


@cache
def _key_names(table: type[Table]) -> Sequence[str]:
    """The members that name a row. The version is one of them, so that no other change can be lost."""
    return [name for name in ("id", "owner", "version") if name in table.model_fields]


def _key(table: type[Table]) -> list[ColumnElement[bool]]:
    return [table.__table__.c[name] == bindparam(f"row_{name}") for name in _key_names(table)]


def expressions_of(row: Table) -> dict[str, ColumnElement[Any]]:
    """The members that are SQL expressions."""
    return {name: value for name, value in row.__dict__.items() if isinstance(value, ColumnElement)}


def alike(rows: Sequence[Table]) -> Iterator[list[Table]]:
    """The rows in their order, those together that one statement inserts: of one class, without expressions."""
    for _, same in groupby(rows, lambda row: (type(row), id(row) if expressions_of(row) else 0)):
        yield list(same)
