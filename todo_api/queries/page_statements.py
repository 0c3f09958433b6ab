"""The statements that find the rows of a page: a walk of an index, or a sort of what an index leads to."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, bindparam
from sqlmodel import select
from sqlmodel.sql.expression import Select, SelectOfScalar

from todo_api.queries.filters import BesideIndex, Join
from todo_api.queries.query import S, Shape, joined, restricted, restrictions
from todo_api.queries.sorting import Range, Term, conditions, pinned, row_names, sortables
from todo_api.single_model.table import Table, column

Rows = Select[*tuple[Any, ...]]


class Selection(NamedTuple):
    """The rows of a list: their table, the filters, the order, and the dialect of the database."""

    table: type[Table]
    shape: Shape
    terms: tuple[Term, ...]
    dialect: str


class Lead(NamedTuple):
    """An index that leads to rows in another order: of these kinds of a filter, or of the value of a term.

    The terms are numbered behind the filters.
    """

    number: int
    kinds: tuple[str, ...] = ()


def orders(shape: Shape) -> list[str]:
    """The members that filters lead to rows in the order of; none of these rows has null there."""
    found = [each.order(member, kinds) for each, member, kinds in shape]
    return [name for name in found if name != "id"]


# The statement of each kind of query is made once: building one costs a quarter of a request.
_kept = lru_cache(maxsize=256)


@_kept
def find_leads(selection: Selection, states: Range) -> tuple[Lead, ...]:
    """The indexes that lead to the rows of a range in another order; none on PostgreSQL, which knows what is better."""
    _, shape, terms, dialect = selection
    if dialect != "sqlite":
        return ()
    number = pinned(states)
    walked = terms[number].name
    valued = {term.name for term in terms[:number]}
    found: list[Lead] = []
    for index, (each, member, kinds) in enumerate(shape):
        order = each.order(member, kinds)
        if order not in valued and (order != walked or (order == "id" and number)):
            found += (Lead(index, apart) for apart in each.leads(kinds))
    equal = [Lead(len(shape) + index) for index, state in enumerate(states[:number]) if state == "equal"]
    return (*found, *(equal if walked != "id" or len(equal) > 1 else ()))


@_kept
def walk(selection: Selection, states: Range, *, checked: bool = False, until: bool = False) -> Rows:
    """The rows of a range in the order of an index; `checked` says that the index must be that of the order."""
    table, shape, terms, dialect = selection
    number = pinned(states)
    walked = terms[number].name
    used = []
    for each, member, kinds in shape:
        order = each.order(member, kinds)
        if checked:
            beside = order != walked or (order == "id" and number > 0)
        else:
            # Of a range with one value SQLite, told of its bounds too, would walk all ids.
            beside = number > 0 and order not in ("id", walked)
        used.append(() if beside and dialect == "sqlite" else kinds)
    filters, joins = _filters(selection, used)
    ids = [*(join.key for join in joins), column(table, "id")]
    valued, bounds, order_by = conditions(table, terms, states, ids, orders(shape), until=until)
    if walked != "id":
        valued = [BesideIndex(each) for each in valued]
    # The cursor before the filters: of two bounds of a walk, SQLite begins at the one that is named first.
    statement = joined(_members(table), joins).where(*valued, *bounds, *filters)
    return _ordered(statement, order_by).limit(_LIMIT)


@_kept
def sort(selection: Selection, states: Range, lead: Lead) -> Rows:
    """The rows of a range, found by one index and then sorted."""
    table, shape, terms, _ = selection
    row_id = column(table, "id")
    valued, bounds, order_by = conditions(table, terms, states, [row_id], orders(shape))
    where, joins = _filters(selection, [lead.kinds if index == lead.number else () for index in range(len(shape))])
    where += map(BesideIndex, bounds)
    for index, condition in enumerate(valued, len(shape)):
        where.append(condition if index == lead.number else BesideIndex(condition))
    order_by = [(BesideIndex(key), descending) for key, descending in order_by]
    if joins:
        # The ids first: to sort whole rows takes twice the time.
        ids = _ordered(joined(select(row_id), joins).where(*where), order_by).limit(_LIMIT).correlate(None)
        return _ordered(_members(table).where(row_id.in_(ids)), order_by)
    return _ordered(_members(table).where(*where), order_by).limit(_LIMIT)


@_kept
def nth(selection: Selection, states: Range, lead: Lead) -> SelectOfScalar[Any]:
    """The row behind the first `offset` ones that an index leads to."""
    table, shape, terms, dialect = selection
    row_id = column(table, "id")
    if lead.number < len(shape):
        each, member, _ = shape[lead.number]
        statement = restricted(select(row_id), table, ((each, member, lead.kinds),), dialect)
    else:
        valued, _, _ = conditions(table, terms, states, [row_id], ())
        statement = select(row_id).where(valued[lead.number - len(shape)])
    return statement.limit(1).offset(_OFFSET)


@_kept
def edge_of(selection: Selection, states: Range) -> SelectOfScalar[Any]:
    """The value of the order in the row behind the first `offset` ones that its walk has to check."""
    table, shape, terms, dialect = selection
    number = pinned(states)
    walked = terms[number]
    valued, bounds, _ = conditions(table, terms, states, [column(table, "id")], orders(shape))
    if walked.name == "id":
        bounds = [*valued, *bounds]
    else:
        in_order = tuple(each for each in shape if each[0].order(each[1], each[2]) == walked.name)
        bounds += restrictions(table, in_order, dialect)[0]
    key = sortables(table)[walked.name].key
    return _ordered(select(key).where(*bounds), [(key, walked.descending)]).limit(1).offset(_OFFSET)


def _filters(selection: Selection, used: Sequence[tuple[str, ...]]) -> tuple[list[ColumnElement[bool]], list[Join]]:
    """The filters: `used` are the kinds of each that may use an index, the others are checked in each row."""
    where: list[ColumnElement[bool]] = []
    joins: list[Join] = []
    for (each, member, kinds), by_index in zip(selection.shape, used, strict=True):
        if by_index:
            found = each.restrict(selection.table, member, by_index, selection.dialect)
            where += found.where
            joins += found.joins
        if others := tuple(kind for kind in kinds if kind not in by_index):
            where += each.check(selection.table, member, others)
    return where, joins


_LIMIT = bindparam("limit", type_=Integer)
_OFFSET = bindparam("offset", type_=Integer)


def _members(table: type[Table]) -> Rows:
    members: Any = [column(table, name) for name in row_names(table)]
    found: Rows = select(*members)
    return found


def _ordered(statement: S, order_by: Sequence[tuple[ColumnElement[Any], bool]]) -> S:
    return statement.order_by(*(key.desc() if descending else key for key, descending in order_by))
