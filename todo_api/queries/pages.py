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
from typing import Any

from sqlalchemy import Row

from todo_api.database.session import Session
from todo_api.database.transactions import TAKES_LONG
from todo_api.queries.page_statements import Lead, Rows, Selection, edge_of, find_leads, nth, orders, sort, walk
from todo_api.queries.query import Shape
from todo_api.queries.sorting import Range, Term, pinned, ranges, sortables

LOOKS = ((1_000, 1_000), (4_000, 16_000))
"""Rows to look at in each step: of a filter's index, then of the order's. The last step takes some 10 ms."""


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
        leads = find_leads(selection, states)
        if not leads and not null_too and (not others or others == [Term("id", term.descending)]):
            await self._walk(states, values)
            return
        for few, some in LOOKS:
            for lead in leads:
                if await self._has(few, lead, states, values):
                    await self._read(sort(selection, states, lead), values)
                    return
            if null_too:  # which no walk has behind the others
                await self.add((*states, "some"), values)
                if not self.full:
                    await self.add((*states, "null"), values)
                return
            if term.name == "id" and number > 1:
                break  # one index can't have the rows of several values in the order of the id
            edge = (await self._session.exec(edge_of(selection, states), params=values | {"offset": some})).all()
            if not edge:
                await self._read(walk(selection, states, checked=True), values)
                return
            values = values | {"until": edge[0]}
            await self._read(walk(selection, states, checked=True, until=True), values)
            values = values | {f"after_{number}": edge[0]}
            if not self.full and others:
                await self.add((*states[:number], "equal"), values)
            if self.full:
                return
            states = (*states[:number], "beyond")
        if leads and not (term.name == "id" and number):  # else the filter's own index has the order of the id
            # SQLite sorts in one go, which nothing interrupts.
            await self._read(sort(selection, states, leads[0]).execution_options(**{TAKES_LONG: True}), values)
        else:
            await self._walk(states, values)

    async def _has(self, few: int, lead: Lead, states: Range, values: dict[str, Any]) -> bool:
        """Whether an index leads to so few rows."""
        key = (few, lead)
        found = self._few.get(key)
        if found is None:
            behind = await self._session.exec(nth(self._selection, states, lead), params=values | {"offset": few})
            found = not behind.all()
            if lead.kinds:
                self._few[key] = found
        return found

    async def _walk(self, states: Range, values: dict[str, Any]) -> None:
        for shape in () if pinned(states) else _nearby(self._selection):
            await self._read(walk(self._selection._replace(shape=shape), states), values)
            if self.full:
                return
            self.rows.clear()
        await self._read(walk(self._selection, states), values)

    async def _read(self, statement: Rows, values: dict[str, Any]) -> None:
        missing = self._size - len(self.rows)
        self.rows += await self._session.exec(statement, params=values | {"limit": missing})


def _nearby(selection: Selection) -> Iterator[Shape]:
    """The shapes for what is near the place where the page begins, in which it is looked for first."""
    order = selection.terms[0]
    for number, (each, member, kinds) in enumerate(selection.shape if order.name == "id" else ()):
        for kind in each.nearby(kinds, descending=order.descending):
            yield (*selection.shape[:number], (each, member, (*kinds, kind)), *selection.shape[number + 1 :])
