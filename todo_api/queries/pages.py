"""How the rows of a page are found: by which index, and in how many statements.

Most pages are one walk of one index: that of the order, or that of a filter which leads to its rows in this order. Two
kinds are not, and would sort all that matches:

- A filter whose index has its rows in another order, on SQLite, which has no statistics to tell what is better. When
  few rows match the filter they are sorted; else the order is walked, and each row checked. Which of the two it is
  shows in a look at some rows, then at more, so that it costs no more than a few times what the better one would.
- An order of several members, as many rows can have the same value of the first one. The rows before such a value are
  sorted, and those that have it are walked in the order of the other members.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Row, bindparam
from sqlmodel import select
from sqlmodel.sql.expression import Select, SelectOfScalar

from todo_api.database.session import Session
from todo_api.queries.filters import BesideIndex, Join
from todo_api.queries.query import S, Shape, joined, restricted, restrictions
from todo_api.queries.sorting import Range, Term, conditions, pinned, ranges, sortables
from todo_api.single_model.table import Table, column, member_names

Rows = Select[*tuple[Any, ...]]

LOOKS = ((1_000, 1_000), (4_000, 16_000))
"""How many rows of a filter to look at, and then of the order, before the next step; the last ones take some 10 ms."""


class Selection(NamedTuple):
    """Which rows of a table, in which order, and of which database."""

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


async def find(
    session: Session, selection: Selection, values: dict[str, Any], after: Sequence[Any] | None, size: int
) -> list[Row[Any]]:
    """The first rows behind these values of the order, or from its beginning on."""
    page = _Page(session, selection, size)
    values = values | {f"after_{number}": value for number, value in enumerate(after or ())}
    for states in ranges(selection.table, selection.terms, after, orders(selection.shape)):
        if not page.full:
            await page.add(states, values)
    return page.rows


class _Page:
    """The rows of a page, as far as they are found."""

    def __init__(self, session: Session, selection: Selection, size: int) -> None:
        self.rows: list[Row[Any]] = []
        self._session = session
        self._selection = selection
        self._size = size
        self._few: dict[tuple[int, Lead], bool] = {}

    @property
    def full(self) -> bool:
        return len(self.rows) >= self._size

    async def add(self, states: Range, values: dict[str, Any]) -> None:
        """Add the rows of a range, until the page is full."""
        table, shape, terms, _ = selection = self._selection
        number = pinned(states)
        term, *others = terms[number:]
        null_too = len(states) == number and sortables(table)[term.name].nullable and term.name not in orders(shape)
        leads = _leads(selection, states)
        if not leads and not null_too and (not others or others == [Term("id", term.descending)]):
            await self._walk(states, values)
            return
        for few, some in LOOKS:
            for lead in leads:
                if await self._has(few, lead, states, values):
                    await self._read(_sorted(selection, states, lead), values)
                    return
            if null_too:  # which no walk has behind the others
                await self.add((*states, "some"), values)
                if not self.full:
                    await self.add((*states, "null"), values)
                return
            if term.name == "id" and number > 1:
                break  # one index can't have the rows of several values in the order of the id
            edge = (await self._session.exec(_edge(selection, states), params=values | {"offset": some})).all()
            if not edge:
                await self._read(_walk(selection, states, checked=True), values)
                return
            values = values | {"until": edge[0]}
            await self._read(_walk(selection, states, checked=True, until=True), values)
            values = values | {f"after_{number}": edge[0]}
            if not self.full and others:
                await self.add((*states[:number], "equal"), values)
            if self.full:
                return
            states = (*states[:number], "beyond")
        if leads and not (term.name == "id" and number):  # else the filter's own index has the order of the id
            await self._read(_sorted(selection, states, leads[0]), values)
        else:
            await self._walk(states, values)

    async def _has(self, few: int, lead: Lead, states: Range, values: dict[str, Any]) -> bool:
        """Whether an index leads to so few rows."""
        key = (few, lead)
        found = self._few.get(key)
        if found is None:
            behind = await self._session.exec(_nth(self._selection, states, lead), params=values | {"offset": few})
            found = not behind.all()
            if lead.kinds:
                self._few[key] = found
        return found

    async def _walk(self, states: Range, values: dict[str, Any]) -> None:
        for shape in () if pinned(states) else _nearby(self._selection):
            await self._read(_walk(self._selection._replace(shape=shape), states), values)
            if self.full:
                return
            self.rows.clear()
        await self._read(_walk(self._selection, states), values)

    async def _read(self, statement: Rows, values: dict[str, Any]) -> None:
        missing = self._size - len(self.rows)
        self.rows += await self._session.exec(statement, params=values | {"limit": missing})


def _nearby(selection: Selection) -> Iterator[Shape]:
    """The shapes for what is near the place where the page begins, in which it is looked for first."""
    order = selection.terms[0]
    for number, (each, member, kinds) in enumerate(selection.shape if order.name == "id" else ()):
        for kind in each.nearby(kinds, descending=order.descending):
            yield (*selection.shape[:number], (each, member, (*kinds, kind)), *selection.shape[number + 1 :])


# The statement of each kind of query is made once: building one costs a quarter of a request.
_kept = lru_cache(maxsize=256)


@_kept
def _leads(selection: Selection, states: Range) -> tuple[Lead, ...]:
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
def _walk(selection: Selection, states: Range, *, checked: bool = False, until: bool = False) -> Rows:
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
def _sorted(selection: Selection, states: Range, lead: Lead) -> Rows:
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
def _nth(selection: Selection, states: Range, lead: Lead) -> SelectOfScalar[Any]:
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
def _edge(selection: Selection, states: Range) -> SelectOfScalar[Any]:
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
    members: Any = [column(table, name) for name in member_names(table)]
    found: Rows = select(*members)
    return found


def _ordered(statement: S, order_by: Sequence[tuple[ColumnElement[Any], bool]]) -> S:
    return statement.order_by(*(key.desc() if descending else key for key, descending in order_by))
