"""Positions: the order that a client gives to its todos, and how one is moved in it.

Positions are integers with room between them, so that a move changes one todo. Where two neighbours have no room left,
those behind the gap are spread out, as few as will do.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, Self

from pydantic import MISSING, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, ColumnElement, and_, case, false, func, literal, tuple_, update
from sqlmodel import col, select

from todo_api.database.owners import THIS_OWNER
from todo_api.database.session import Session
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid
from todo_api.models import TodoItem, TodoList
from todo_api.single_model.changes import changes_of_many
from todo_api.single_model.fields import MAX_INTEGER, Id

STEP = 65_536
"""The room between two todos that were created one after the other: for 16 moves into the same gap."""
_FEW = 32
"""Todos that are spread out at first, to make room between two neighbours."""


class Move(BaseModel):
    """Where to move a todo: exactly one of the members."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"to": "top"}, {"before": 2}]},
    )

    before: Id | MISSING = Field(default=MISSING, examples=[2])
    """The id of the todo to put it before."""
    after: Id | MISSING = Field(default=MISSING, examples=[2])
    """The id of the todo to put it after."""
    to: Literal["top", "bottom"] | MISSING = Field(default=MISSING, examples=["top"])
    """The end of the list to put it at: `top` is the beginning."""

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("exactly_one", "must have exactly one of before, after and to")
        return self


class Place(NamedTuple):
    """The place of a todo in the order: its position, then its id."""

    position: int
    id: int


_PLACE = tuple_(col(TodoItem.position), col(TodoItem.id))
_FORWARD = (col(TodoItem.position), col(TodoItem.id))
_BACKWARD = (col(TodoItem.position).desc(), col(TodoItem.id).desc())


_LAST = func.coalesce(func.max(TodoItem.position), 0)


@cache
def _behind_all(table: type[TodoItem | TodoList]) -> Any:
    last = func.coalesce(func.max(table.position), 0)
    behind = select(case((last > MAX_INTEGER - STEP, MAX_INTEGER), else_=last + STEP))
    return behind.where(col(table.owner) == THIS_OWNER).scalar_subquery()


def place_last(row: TodoItem | TodoList) -> None:
    """Give a new row that comes without a position one behind all others; the INSERT finds it."""
    if row.position is None:
        row.position = _behind_all(type(row))


async def place_all_last(todos: Sequence[TodoItem], session: Session) -> None:
    """The same for many."""
    last = (await session.exec(select(_LAST))).one()
    for todo in todos:
        if todo.position is None:
            todo.position = min(last + STEP, MAX_INTEGER)
        last = max(last, todo.position)


async def move_todo_to(todo: TodoItem, move: Move, session: Session) -> None:
    """Give a todo the place that was asked for; raises Invalid."""
    lower, upper = await _gap(todo, move, session)
    here = Place(todo.position, todo.id)
    if (lower is None or lower < here) and (upper is None or here < upper):
        return
    position = _between(lower, upper)
    if position is None:
        await _spread(todo, lower, session)
    else:
        todo.position = position


async def _gap(todo: TodoItem, move: Move, session: Session) -> tuple[Place | None, Place | None]:
    """The places between which the todo is to stand; None for an end of the list."""
    (name,) = move.model_fields_set
    target = getattr(move, name)
    others = col(TodoItem.id) != todo.id
    if name == "to":
        end = await _first(session, others, order=_FORWARD if target == "top" else _BACKWARD)
        return (None, end) if target == "top" else (end, None)
    anchor = await _first(session, others, col(TodoItem.id) == target, order=_FORWARD)
    if anchor is None:
        detail = "is the todo itself" if target == todo.id else "there is no todo with this id"
        raise Invalid([InvalidValue(pointer=f"/{name}", detail=detail, code="no_such_todo")])
    if name == "before":
        return await _first(session, others, tuple_(*anchor) > _PLACE, order=_BACKWARD), anchor
    return anchor, await _first(session, others, tuple_(*anchor) < _PLACE, order=_FORWARD)


async def _first(session: Session, *where: ColumnElement[bool], order: tuple[Any, Any]) -> Place | None:
    statement = select(TodoItem.position, TodoItem.id).where(*where).order_by(*order).limit(1)
    found = (await session.exec(statement)).first()
    return Place._make(found) if found else None


def _between(lower: Place | None, upper: Place | None) -> int | None:
    """A position with room on both sides; None when there is no room."""
    low = -MAX_INTEGER - 1 if lower is None else lower.position
    high = MAX_INTEGER + 1 if upper is None else upper.position
    if high - low < 2:
        return None
    if upper is None:
        return low + min(STEP, high - low - 1)
    if lower is None:
        return high - min(STEP, high - low - 1)
    return low + (high - low) // 2


async def _spread(todo: TodoItem, lower: Place | None, session: Session) -> None:
    """Put the todo behind `lower`, and make room by moving as few of the others behind it as will do."""
    others = col(TodoItem.id) != todo.id
    behind = others if lower is None else and_(others, tuple_(*lower) < _PLACE)
    low = -MAX_INTEGER - 1 if lower is None else lower.position
    size = _FEW
    while True:
        statement = select(TodoItem.position).where(behind).order_by(*_FORWARD).offset(size).limit(1)
        high = (await session.exec(statement)).first()
        if high is None:
            size = (await session.exec(select(func.count()).select_from(TodoItem).where(behind))).one()
            high = min(MAX_INTEGER + 1, low + STEP * (size + 2))
            if (step := (high - low) // (size + 2)) <= 1:  # there is no room behind all of them: place the whole list
                before = and_(others, false() if lower is None else tuple_(*lower) >= _PLACE)
                low, step = await _place(before, None, 0, STEP, session), STEP
            break
        if (step := (high - low) // (size + 2)) > 1:
            break
        size *= 4
    await _place(behind, size, low + step, step, session)
    todo.position = low + step


async def _place(which: ColumnElement[bool], limit: int | None, start: int, step: int, session: Session) -> int:
    """Give the first todos of these positions from `start` on, a step apart; the last position that was given.

    A todo that stands in its place already stays as it is, version and all.
    """
    number = func.row_number(type_=BigInteger).over(order_by=_FORWARD)
    place = (literal(start, BigInteger) + literal(step, BigInteger) * number).label("place")
    placed = select(TodoItem.id, place).where(which).order_by(*_FORWARD).limit(limit).subquery()
    moved = and_(col(TodoItem.id) == placed.c.id, col(TodoItem.position) != placed.c.place)
    await session.exec(update(TodoItem).where(moved).values(changes_of_many(TodoItem, {"position": placed.c.place})))
    return start + step * (await session.exec(select(func.count()).select_from(TodoItem).where(which))).one()
