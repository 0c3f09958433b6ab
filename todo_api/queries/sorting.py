"""The order of a list, and where a page of it begins.

A page is read as ranges of the order, one after the other until it is full: first the rows that are equal to the last
one of the page before in all terms but the id, then those that are equal in all but the last two, and so on; null comes
last, as a range of its own. Each range is one walk of an index, so page 1,000 costs what page 1 costs, and rows that
come or go meanwhile move no other row to another page.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import cache, partial
from operator import ge, gt, le, lt
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import JSON, ColumnElement, String, bindparam, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import AutoString

from todo_api.http.problem import InvalidValue, did_you_mean
from todo_api.http.problems import Invalid
from todo_api.queries.filters import BesideIndex, Sortable, filters_of
from todo_api.single_model.fields import Text
from todo_api.single_model.table import Table, column, member_names

TEXT_LENGTH = 500
"""Characters of a text that count for the order, so that a cursor fits into a URL."""


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


@cache
def sortables(table: type[Table]) -> dict[str, Sortable]:
    """The sort keys of a table: its members, but for lists, and those that filters add."""
    found = {name: _member(table, name) for name in row_names(table) if not isinstance(column(table, name).type, JSON)}
    for each, member in filters_of(table).items():
        found |= each.virtual(table, member)
    return found


@cache
def row_names(table: type[Table]) -> Sequence[str]:
    """What is read of each row of a list: its members, and behind them that of the order which is no member."""
    order = (table.list_order or "").removeprefix("-")
    names = member_names(table)
    return names if not order or order in names else (*names, order)


def _member(table: type[Table], name: str) -> Sortable:
    field = table.model_fields[name]
    key = column(table, name)
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    nullable = bool(key.property.columns[0].nullable)
    if not isinstance(key.type, (String, AutoString)):
        return Sortable(key, nullable, partial(_value, name), TypeAdapter(kind), key.is_not(None))
    if (key.type.length or TEXT_LENGTH + 1) > TEXT_LENGTH:
        # Written out, not bound: an index is used for just the expression that it was made of.
        key = func.substr(key, literal_column("1"), literal_column(str(TEXT_LENGTH)))
    key = CodePoints(key)
    # As text of any kind: the beginning of a text may be blank, which alone no member is.
    beginning: Any = Text | None if nullable else Text
    # Not by IS NOT NULL, with which SQLite would not begin the walk of an index of an expression.
    return Sortable(key, nullable, partial(_text, name), TypeAdapter(beginning), key >= literal_column("''", String))


def _value(name: str, row: Table) -> Any:
    return getattr(row, name)


def _text(name: str, row: Table) -> str | None:
    text: str | None = getattr(row, name)
    return text and text[:TEXT_LENGTH]


class Term(NamedTuple):
    """One term of a sort."""

    name: str
    descending: bool


def read_sort(table: type[Table], text: str) -> tuple[Term, ...]:
    """The terms of a `sort` parameter; raises Invalid for an unknown one.

    Ties are broken by the id, in the direction of the last term: `-x` is the reverse of `x`.
    """
    known = sortables(table)
    terms: dict[str, Term] = {}
    for part in map(str.strip, text.split(",")):
        name = part.removeprefix("-")
        if name not in known:
            hint = did_you_mean(name, known) or f"; the known ones are {', '.join(known)}"
            raise Invalid(
                [InvalidValue(pointer="sort", detail=f"names an unknown member{hint}", code="unknown_member")]
            )
        if name in terms:
            detail = f"may name {name} once"
            raise Invalid([InvalidValue(pointer="sort", detail=detail, code="repeated_member")])
        terms[name] = Term(name, part.startswith("-"))
    terms.setdefault("id", Term("id", list(terms.values())[-1].descending))
    # What stands behind the unique id cannot change the order.
    ordered = list(terms.values())
    return tuple(ordered[: ordered.index(terms["id"]) + 1])


State = Literal["equal", "beyond", "some", "null"]
"""The state of a term in a range: equal to the cursor's value, beyond it, not null, or null."""
Range = tuple[State, ...]
"""The states of the first terms; the others are free."""


def ranges(
    table: type[Table], terms: Sequence[Term], after: Sequence[Any] | None, present: Collection[str]
) -> Iterator[Range]:
    """The ranges of the order, from the values of a cursor on; `present` are terms that filters leave no null of."""
    nullable = [sortables(table)[term.name].nullable and term.name not in present for term in terms]
    if after is None:
        yield ()
        return
    equal: list[State] = ["null" if value is None else "equal" for value in after]
    for number in reversed(range(len(terms))):
        if after[number] is not None:
            yield (*equal[:number], "beyond")
            if nullable[number]:
                yield (*equal[:number], "null")


class Conditions(NamedTuple):
    """The SQL of a range: conditions of the terms with one value, bounds of the next term, and the ORDER BY.

    The ORDER BY is of keys, each with whether it is descending.
    """

    pinned: list[ColumnElement[bool]]
    bounds: list[ColumnElement[bool]]
    order: list[tuple[ColumnElement[Any], bool]]


def pinned(states: Range) -> int:
    """How many terms have one value in a range."""
    return sum(state in ("equal", "null") for state in states)


def conditions(
    table: type[Table],
    terms: Sequence[Term],
    states: Range,
    ids: Sequence[ColumnElement[Any]],
    present: Collection[str],
    *,
    until: bool = False,
) -> Conditions:
    """The WHERE and the ORDER BY of a range; its bound parameters are `after_0` and so on.

    `ids` are the id of a row as each index that leads to the rows has it, and as the row itself. `until` says that the
    range ends before the value `until` of its first term without one value, or with this value, if it is that of an id.
    """
    found = Conditions([], [], [])
    for number, (name, descending) in enumerate(terms):
        sortable = sortables(table)[name]
        key, *others = ids if name == "id" else [sortable.key]
        state = states[number] if number < len(states) else "free"
        value = bindparam(f"after_{number}", type_=key.type)
        if state == "equal":
            found.pinned.append(key == value)
        elif state == "null":
            found.pinned.append(key.is_(None))
        elif until and not found.order:
            compare = (ge if descending else le) if name == "id" else (gt if descending else lt)
            found.bounds.append(compare(key, bindparam("until", type_=key.type)))
        if state == "some":
            found.bounds.append(sortable.present)
        elif state == "beyond":
            found.bounds.append(key < value if descending else key > value)
            # The same of what is joined by the id: PostgreSQL would walk that from the first one on.
            found.bounds.extend(BesideIndex(each < value if descending else each > value) for each in others)
        if state in ("beyond", "some", "free"):
            # Without need it would cost the walk of an index: databases sort by it, though it is the same in all rows.
            if state == "free" and sortable.nullable and name not in present:
                found.order.append((key.is_(None), False))
            found.order.append((key, descending))
    return found
