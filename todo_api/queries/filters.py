"""Filters: query parameters that restrict a list, each declared in the annotation of the member it is about.

A filter says which parameters it has, what they bind, and how they restrict a statement. The list, the bulk operations
and the document are all made of these.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from sqlalchemy import (
    ColumnElement,
    FromClause,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from todo_api.single_model.table import Table

Parameters = dict[str, tuple[Any, Any]]
"""The type and the description of each query parameter."""


class Join(NamedTuple):
    """A join with an index: `key` is the id of a matching row, in each row of `target`."""

    target: FromClause
    on: ColumnElement[bool]
    key: ColumnElement[int]


class Bound(NamedTuple):
    """The kinds of restriction of a filter, which decide the statement, and its bound parameters."""

    kinds: tuple[str, ...]
    values: dict[str, Any]


class Sortable(NamedTuple):
    """A sort key: its SQL, whether it may be null, how to read it from a row, and its type."""

    key: ColumnElement[Any]
    nullable: bool
    value_of: Callable[[Any], Any]
    type: TypeAdapter[Any]
    present: ColumnElement[bool]
    """The condition that the key is not null, in a form that an index can use."""
    meaning: str = ""
    """What the key means, when it is no member."""


class Restriction(NamedTuple):
    """The conditions and the joins that a filter adds to a statement."""

    where: Sequence[ColumnElement[bool]]
    joins: Sequence[Join] = ()


class BesideIndex(FunctionElement[bool]):
    """A condition, or what to sort by, that SQLite chooses no index for: rows are found by another one."""

    inherit_cache = True


@compiles(BesideIndex)
def _as_it_is(element: BesideIndex, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


@compiles(BesideIndex, "sqlite")
def _signed(element: BesideIndex, compiler: SQLCompiler, **options: Any) -> str:
    return f"+({compiler.process(element.clauses, **options)})"


class Filter:
    """The base of every filter."""

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        """Its query parameters, by name."""
        raise NotImplementedError

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        """The kinds and the bound parameters for the parameters that were sent."""
        return Bound(tuple(sent), dict(sent))

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        """The conditions and joins for these kinds."""
        raise NotImplementedError

    def check(self, table: type[Table], member: str, kinds: Sequence[str]) -> Sequence[ColumnElement[bool]]:
        """The same for SQLite, with no index: for rows that are found by another one."""
        return [BesideIndex(each) for each in self.restrict(table, member, kinds, "sqlite").where]

    def nearby(self, kinds: Sequence[str], *, descending: bool) -> Sequence[str]:
        """Kinds that restrict a list in the order of the id to what is near the place where a page begins.

        Each is tried in turn beside the kinds of `bind`; those alone are read when the page is still not full.
        """
        return ()

    def virtual(self, table: type[Table], member: str) -> dict[str, Sortable]:
        """Sort keys that this filter adds beside the members."""
        return {}

    def order(self, member: str, kinds: Sequence[str]) -> str:
        """The member in whose order its index has the rows, null in none of them; `id` is the order of all others.

        A list is in the order of the first such member unless `sort` is sent.
        """
        return "id"

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        """The sets of kinds that can each be looked up in an index alone."""
        return [kinds]


@cache
def filters_of(table: type[Table]) -> dict[Filter, str]:
    """The filters of a table class, each with its member."""
    if table.list_filters is not None:
        return dict(table.list_filters)
    return {
        mark: name for name, field in table.model_fields.items() for mark in field.metadata if isinstance(mark, Filter)
    }
