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
    """How an index leads to rows: those of `target` give the ids of what matches, as `key`."""

    target: FromClause
    on: ColumnElement[bool]
    key: ColumnElement[int]


class Bound(NamedTuple):
    """What a filter binds: the kinds of restriction, of which the statement is made, and its bound parameters."""

    kinds: tuple[str, ...]
    values: dict[str, Any]


class Sortable(NamedTuple):
    """What a list can be sorted by: the key in SQL, whether it may be null, its value of a row, and its type."""

    key: ColumnElement[Any]
    nullable: bool
    value_of: Callable[[Any], Any]
    type: TypeAdapter[Any]
    present: ColumnElement[bool]
    """That the key is not null, as the walk of an index can begin with it."""
    meaning: str = ""
    """What it is, for what is no member."""


class Restriction(NamedTuple):
    """What a filter adds to a statement."""

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
        """What those of its parameters that were sent come to."""
        return Bound(tuple(sent), dict(sent))

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        """What it adds to a statement for these kinds of `bind`."""
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
        """What a list can be sorted by that is no member."""
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
    return {
        mark: name for name, field in table.model_fields.items() for mark in field.metadata if isinstance(mark, Filter)
    }
