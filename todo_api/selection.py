"""The statements of lists: which rows match, in which order, and from where on.

Pages are cut by key: a page begins behind the sort values of the last row before it, so page 1,000 costs what page 1
costs, and rows that are inserted or deleted meanwhile move no other row to another page.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, String, and_, bindparam, func, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.table import Table


class Filterable:
    """Marks a member that a list can be filtered by."""


class Searchable:
    """Marks text that `q` looks in."""


class CodePoints(FunctionElement[str]):
    """Text ordered by its code points: what SQLite does, and PostgreSQL in the collation "C" alone."""

    type = String()
    inherit_cache = True


@compiles(CodePoints)
def _as_it_is(element: CodePoints, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(CodePoints, "postgresql")
def _in_collation_c(element: CodePoints, compiler: SQLCompiler, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'


class Term(NamedTuple):
    """One term of a sort: a member and its direction."""

    member: str
    descending: bool


def marked(table: type[Table], mark: type) -> list[str]:
    """The names of the members with this mark."""
    return [name for name, field in table.model_fields.items() if mark in field.metadata]


# The statement of each kind of query is made once: building one costs a quarter of a request.
@lru_cache(maxsize=512)
def page_statement(
    table: type[Table], filters: tuple[str, ...], terms: tuple[Term, ...], after: bool
) -> SelectOfScalar[Table]:
    """A page of the rows that match, with a bound parameter for each of `filters`, for `limit`, and for `after_…`."""
    where = list(_conditions(table, filters))
    if after:
        where.append(_after(table, terms))
    order = [_key(table, term.member).desc() if term.descending else _key(table, term.member) for term in terms]
    return select(table).where(*where).order_by(*order).limit(bindparam("limit", type_=Integer))


@lru_cache(maxsize=512)
def count_statement(table: type[Table], filters: tuple[str, ...]) -> SelectOfScalar[int]:
    """How many rows match."""
    return select(func.count()).select_from(table).where(*_conditions(table, filters))


def _conditions(table: type[Table], filters: tuple[str, ...]) -> Iterator[ColumnElement[bool]]:
    for name in filters:
        if name == "ids":
            yield _column(table, "id").in_(bindparam("ids", expanding=True))
        elif name.startswith("q_"):
            texts = [func.lower(_column(table, member)) for member in marked(table, Searchable)]
            yield or_(*(text.like(bindparam(name, type_=String), escape=_ESCAPE) for text in texts))
        else:
            yield _column(table, name) == bindparam(name)


_ESCAPE = "\\"
_WILD = re.compile(r"[\\%_]")
_ESCAPED = r"\\\g<0>"


def like_pattern(word: str) -> str:
    """The LIKE pattern of text that holds `word` in any case; `%` and `_` stand for themselves."""
    return f"%{_WILD.sub(_ESCAPED, word.lower())}%"


def _after(table: type[Table], terms: Sequence[Term]) -> ColumnElement[bool]:
    """Whether a row comes behind the one of the cursor: greater in one term, and equal in those before it."""
    branches = []
    equal: list[ColumnElement[bool]] = []
    for number, (member, descending) in enumerate(terms):
        key, value = _key(table, member), bindparam(f"after_{number}", type_=_column(table, member).type)
        branches.append(and_(*equal, key < value if descending else key > value))
        equal.append(key == value)
    first = _key(table, terms[0].member)
    bound = bindparam("after_0", type_=_column(table, terms[0].member).type)
    # Implied by the branches; it is what an index can begin at.
    return and_(first <= bound if terms[0].descending else first >= bound, or_(*branches))


def _key(table: type[Table], member: str) -> ColumnElement[Any]:
    column = _column(table, member)
    return CodePoints(column) if isinstance(column.type, String) else column


def _column(table: type[Table], member: str) -> ColumnElement[Any]:
    column: ColumnElement[Any] = getattr(table, member)
    return column
