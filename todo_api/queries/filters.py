"""Filters: query parameters that restrict a list, each declared in the annotation of the member it is about.

A filter says which parameters it has, what they bind, and how they restrict a statement. The list, the bulk operations
and the document are all made of these.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import ge, gt, le, lt
from typing import Annotated, Any, NamedTuple

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import BeforeValidator, Field, TypeAdapter
from pydantic.fields import FieldInfo
from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    bindparam,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from todo_api.single_model.columns import IndexTable
from todo_api.single_model.fields import Digits, Instant, Tag, TrueOrFalse
from todo_api.single_model.table import Table, column

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


def _rules(field: FieldInfo) -> list[Any]:
    """The marks of a field that Pydantic checks."""
    rules = (BaseMetadata, GroupedMetadata)
    return [each for each in field.metadata if isinstance(each, rules) or hasattr(each, "__get_pydantic_core_schema__")]


def _kind(field: FieldInfo) -> Any:
    """The type of a parameter that holds a value of a member, as a URL has it."""
    if field.annotation is str:
        return Annotated[str, *_rules(field)]
    if field.annotation is int:
        return Annotated[int, *_rules(field), Digits]
    return TrueOrFalse if field.annotation is bool else Annotated[Instant, BeforeValidator(_with_plus)]


class Equals(Filter):
    """The parameter of the member's own name: rows with this value."""

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(default=None, description=f"Only those with this `{member}`.", examples=field.examples)
        return {member: (_kind(field) | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        # Not by the name of the column, which in an UPDATE is that of the new value.
        return Bound(("equals",), {f"{member}_equals": sent[member]})

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([column(table, member) == bindparam(f"{member}_equals")])


class OneOf(Filter):
    """A repeatable parameter: rows with one of these values, of which there may be 100."""

    def __init__(self, name: str) -> None:
        self.name = name

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            min_length=1,
            max_length=100,
            description=f"Only those with one of these values of `{member}`.",
            examples=[[1, 2]],
        )
        kind: Any = list[_kind(field)]  # type: ignore[misc]  # a type made at run time
        return {self.name: (kind | None, described)}

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([column(table, member).in_(bindparam(self.name, expanding=True))])


class _Range(Filter):
    """A parameter that bounds the member; unless `sort` is sent, the list is then in the order of the member."""

    compare: Any
    words: str

    def __init__(self, name: str, meaning: str = "") -> None:
        self.name = name
        self.meaning = f": {meaning}" if meaning else ""

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            description=f"Only those whose `{member}` is {self.words}{self.meaning}.",
            examples=[example for example in field.examples or [] if example is not None] or ["2026-11-25T00:00:00Z"],
        )
        return {self.name: (_kind(field) | None, described)}

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        key = column(table, member)
        return Restriction([self.compare(key, bindparam(self.name, type_=key.type))])

    def order(self, member: str, kinds: Sequence[str]) -> str:
        return member


class AtLeast(_Range):
    compare, words = staticmethod(ge), "this number or greater"


class AtMost(_Range):
    compare, words = staticmethod(le), "this number or less"


class After(_Range):
    compare, words = staticmethod(gt), "later than this instant"


class Before(_Range):
    compare, words = staticmethod(lt), "earlier than this instant"


def _with_plus(text: Any) -> Any:
    """What a URL made of the `+` of an offset, a space, made good."""
    return text.replace(" ", "+") if isinstance(text, str) else text


class Tagged(Filter):
    """A repeatable parameter: rows whose list holds all of these values.

    The migrations keep them in the table `…_tags`, a row for each value: an index walk in the order of the ids.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            min_length=1,
            max_length=32,
            description=f"Only those with all of these among their `{member}`.",
            examples=[["shopping"]],
        )
        return {self.name: (list[Tag] | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        values = {f"{self.name}_{number}": tag for number, tag in enumerate(dict.fromkeys(sent[self.name]))}
        return Bound(tuple(values), values)

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([], [self._join(table, member, kind) for kind in kinds])

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return [(kind,) for kind in kinds]

    def check(self, table: type[Table], member: str, kinds: Sequence[str]) -> Sequence[ColumnElement[bool]]:
        row_id = column(table, "id")
        joins = [self._join(table, member, kind) for kind in kinds]
        return [select(row_id).select_from(each.target).where(each.on).correlate(table).exists() for each in joins]

    def _join(self, table: type[Table], member: str, kind: str) -> Join:
        name = f"{table.__tablename__}_{member}"
        tags = IndexTable(name, *(sql_column(each) for each in ("owner", "tag", "id"))).alias()
        same_row = and_(tags.c.owner == column(table, "owner"), tags.c.id == column(table, "id"))
        return Join(tags, and_(same_row, tags.c.tag == bindparam(kind)), tags.c.id)
