"""Subtasks: todos below a todo. They are in its list, follow it to another one, and are deleted with it."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, bindparam, func, literal_column, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.sql.expression import Select, SelectOfScalar

from todo_api.database.deadlines import FEW
from todo_api.database.session import Session
from todo_api.features.lists import known_lists
from todo_api.features.trash import throw_away, throw_away_one
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid
from todo_api.models import TodoItem
from todo_api.queries.bulk import Affected, BulkQuery
from todo_api.single_model.bodies import Changes
from todo_api.single_model.changes import changes_of_many

MAX_LEVELS = 8
"""Levels of a tree, the top being the first."""

_DETAILS = {
    "no_such_todo": "there is no todo with this id",
    "no_such_list": "there is no list with this id",
    "cycle": "must not be the todo itself, or one of those below it",
    "too_deep": f"would make more than {MAX_LEVELS} levels",
    "list_of_parent": "must be the list of the parent",
}


def _invalid(member: str, code: str, *, place: str = "", todo_id: int | None = None) -> InvalidValue:
    of_todo = "" if todo_id is None else f" (todo {todo_id})"
    return InvalidValue(pointer=f"{place}/{member}", detail=_DETAILS[code] + of_todo, code=code)


class _Parent(NamedTuple):
    """A todo that is to have subtasks."""

    list_id: int | None
    level: int
    path: set[int]
    """The ids of the todo and of all above it."""


_ONE: ColumnElement[int] = literal_column("1")


def _make_above() -> Select[*tuple[Any, ...]]:
    """The todos `ids` and those above each, with the number of levels between them."""
    first: Any = (
        col(TodoItem.id).label("start"),
        TodoItem.id,
        TodoItem.parent_id,
        TodoItem.list_id,
        _ONE.label("level"),
    )
    start = select(*first).where(col(TodoItem.id).in_(bindparam("ids", expanding=True)))
    above = start.cte("above", recursive=True)
    parent = aliased(TodoItem)
    next_one: Any = (above.c.start, parent.id, parent.parent_id, parent.list_id, above.c.level + _ONE)
    above = above.union_all(select(*next_one).join(above, col(parent.id) == above.c.parent_id))
    read: Any = (above.c.start, above.c.id, above.c.list_id, above.c.level)
    found: Select[*tuple[Any, ...]] = select(*read)
    return found


def _make_below() -> CTE:
    """The todos below `top`: the id, that of the subtask of `top` which leads to it, and the levels between them."""
    first: Any = (TodoItem.id, col(TodoItem.id).label("start"), _ONE.label("level"))
    start: SelectOfScalar[int] = select(*first)
    below = start.where(col(TodoItem.parent_id) == bindparam("top")).cte("below", recursive=True, nesting=True)
    child = aliased(TodoItem)
    next_one = select(child.id, below.c.start, below.c.level + _ONE)
    return below.union_all(next_one.join(below, col(child.parent_id) == below.c.id))


_ABOVE = _make_above()
_BELOW = _make_below()
_HEIGHT = select(func.coalesce(func.max(_BELOW.c.level), 0))
_TOO_DEEP = select(func.min(_BELOW.c.start)).where(_BELOW.c.level > bindparam("levels"))
_COUNT_BELOW = select(func.count()).select_from(select(_BELOW.c.id).limit(FEW + 1).subquery())
_SUBTASK = select(TodoItem.id).where(col(TodoItem.parent_id) == bindparam("top")).limit(1)


def with_subtasks(ids: SelectOfScalar[int]) -> SelectOfScalar[int]:
    """The ids, and those of all todos below them."""
    tree = ids.cte("tree", recursive=True, nesting=True)
    child = aliased(TodoItem)
    tree = tree.union(select(child.id).join(tree, col(child.parent_id) == tree.c.id))
    found: SelectOfScalar[int] = select(tree.c.id)
    return found


async def _parents(ids: Collection[int], session: Session) -> dict[int, _Parent]:
    """Those of the ids that are todos of this owner."""
    parents: dict[int, _Parent] = {}
    for start, todo_id, list_id, level in await session.exec(_ABOVE, params={"ids": list(ids)}) if ids else ():
        below = parents.get(start, _Parent(list_id, 0, set()))
        parents[start] = _Parent(below.list_id, max(level, below.level), {todo_id, *below.path})
    return parents


async def place_new(todos: Sequence[TodoItem], session: Session, *, one: bool = False) -> None:
    """Put new todos into the list of their parent. Raises Invalid for a list or a parent that can't be."""
    parents = await _parents({todo.parent_id for todo in todos if todo.parent_id is not None}, session)
    lists = await known_lists({todo.list_id for todo in todos if todo.list_id is not None}, session)
    errors = []
    for number, todo in enumerate(todos):
        place = "" if one else f"/{number}"
        if todo.parent_id is None:
            if todo.list_id is not None and todo.list_id not in lists:
                errors.append(_invalid("list_id", "no_such_list", place=place))
            continue
        parent = parents.get(todo.parent_id)
        if parent is None:
            errors.append(_invalid("parent_id", "no_such_todo", place=place))
        elif parent.level == MAX_LEVELS:
            errors.append(_invalid("parent_id", "too_deep", place=place))
        elif "list_id" in todo.model_fields_set and todo.list_id != parent.list_id:
            errors.append(_invalid("list_id", "list_of_parent", place=place))
        else:
            todo.list_id = parent.list_id
    if errors:
        raise Invalid(errors)


async def change(todo: TodoItem, changes: Changes[TodoItem], session: Session) -> None:
    """Change a todo as a request says; what is below it follows to another list. Raises Invalid."""
    list_id, members = todo.list_id, changes.members
    if members.get("parent_id", todo.parent_id) != todo.parent_id or members.get("list_id", list_id) != list_id:
        await _place(todo, members, session)
    changes.apply(todo)
    if todo.list_id != list_id:
        await _expect_below(todo, session)
        below = col(TodoItem.id).in_(select(_BELOW.c.id).params(top=todo.id))
        await session.exec(update(TodoItem).where(below).values(changes_of_many(TodoItem, {"list_id": todo.list_id})))


async def _place(todo: TodoItem, members: dict[str, Any], session: Session) -> None:
    """Check another list or another parent of a todo, and put it into the list of its parent."""
    parent_id = members.get("parent_id", todo.parent_id)
    list_id = members.get("list_id", todo.list_id)
    if parent_id is None:
        if list_id not in {None, todo.list_id} and not await known_lists([list_id], session):
            raise Invalid([_invalid("list_id", "no_such_list")])
        return
    if parent_id == todo.parent_id:
        raise Invalid([_invalid("list_id", "list_of_parent")])
    parent = await _check_parent(parent_id, session)
    if todo.id in parent.path:
        raise Invalid([_invalid("parent_id", "cycle")])
    height = (await session.exec(_HEIGHT, params={"top": todo.id})).one()
    if parent.level + 1 + height > MAX_LEVELS:
        raise Invalid([_invalid("parent_id", "too_deep")])
    if "list_id" in members and list_id != parent.list_id:
        raise Invalid([_invalid("list_id", "list_of_parent")])
    members["list_id"] = parent.list_id


async def _check_parent(parent_id: int, session: Session) -> _Parent:
    parent = (await _parents([parent_id], session)).get(parent_id)
    if parent is None:
        raise Invalid([_invalid("parent_id", "no_such_todo")])
    return parent


async def change_many(matching: BulkQuery[TodoItem], changes: Changes[TodoItem], session: Session) -> Affected:
    """Change all todos that match; what is below them follows to another list. Raises Invalid and TooMany.

    The rules are judged as things stand after the change, so that whole trees may move to another list.
    """
    members = changes.members
    parent_id = members.get("parent_id")
    parent = None if parent_id is None else await _check_parent(parent_id, session)
    if parent is not None:
        first = select(func.min(TodoItem.id)).where(matching.is_match(session))
        await _refuse(first.where(col(TodoItem.id).in_(parent.path)), "parent_id", "cycle", session)
        if members.get("list_id", parent.list_id) != parent.list_id:
            await _refuse(first, "list_id", "list_of_parent", session)
        members["list_id"] = parent.list_id
    elif members.get("list_id") is not None and not await known_lists([members["list_id"]], session):
        raise Invalid([_invalid("list_id", "no_such_list")])
    if "list_id" not in members:
        return await matching.update(changes, session)
    list_id = members["list_id"]
    affected = await matching.update(changes, session, lambda ids: _followers(ids, list_id))
    affected.changed += await _follow(list_id, session)
    matching.check(affected)
    if parent is not None:
        too_deep = _TOO_DEEP.params(top=parent_id, levels=MAX_LEVELS - parent.level)
        await _refuse(too_deep, "parent_id", "too_deep", session)
    return affected


async def _refuse(first: SelectOfScalar[int], member: str, code: str, session: Session) -> None:
    """Raise Invalid with the id that this finds, if it finds one."""
    found = (await session.exec(first)).one()
    if found is not None:
        raise Invalid([_invalid(member, code, todo_id=found)])


def _followers(ids: SelectOfScalar[int], list_id: int | None) -> SelectOfScalar[int]:
    """The ids of all that is below these todos, is not among them, and is not in the list."""
    elsewhere = select(TodoItem.id).where(_is_elsewhere(TodoItem, list_id))
    return elsewhere.where(col(TodoItem.id).in_(with_subtasks(ids)), col(TodoItem.id).not_in(ids))


async def _follow(list_id: int | None, session: Session) -> int:
    """Put into a list all that is below a todo in it; how many they were. Raises Invalid for one of another parent."""
    parent, child = aliased(TodoItem), aliased(TodoItem)
    pair = col(parent.id) == col(child.parent_id)
    strays = select(child.id).join(parent, pair).where(_is_in(parent, list_id), _is_elsewhere(child, list_id))
    values = changes_of_many(TodoItem, {"list_id": list_id})
    # Of those below, some may have matched, and be in the list already.
    follow = col(TodoItem.id).in_(with_subtasks(strays)), _is_elsewhere(TodoItem, list_id)
    moved = await session.exec(update(TodoItem).where(*follow).values(values))
    alone = select(func.min(child.id)).join(parent, pair).where(_is_in(child, list_id), _is_elsewhere(parent, list_id))
    await _refuse(alone, "list_id", "list_of_parent", session)
    return moved.rowcount


def _is_in(todo: type[TodoItem], list_id: int | None) -> ColumnElement[bool]:
    return col(todo.list_id).is_(None) if list_id is None else col(todo.list_id) == list_id


def _is_elsewhere(todo: type[TodoItem], list_id: int | None) -> ColumnElement[bool]:
    return col(todo.list_id).is_distinct_from(list_id)


async def _expect_below(todo: TodoItem, session: Session) -> None:
    """Begin anew as a change of many if very many are below a todo."""
    session.deadline.expect((await session.exec(_COUNT_BELOW, params={"top": todo.id})).one())


async def delete_tree(todo: TodoItem, session: Session) -> None:
    """Delete a todo and all that is below it."""
    if (await session.exec(_SUBTASK, params={"top": todo.id})).first() is None:
        await throw_away_one(todo, session)
    else:
        await _expect_below(todo, session)
        below = col(TodoItem.id).in_(select(_BELOW.c.id).params(top=todo.id))
        await throw_away(or_(col(TodoItem.id) == todo.id, below), session)
