"""Restoring: what was deleted comes back out of the trash, to the place that it had, as far as that is still there."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, case, func, literal_column, null, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.moves import Move
from todo_api.database.session import Session
from todo_api.database.statements import is_among
from todo_api.features.subtasks import MAX_LEVELS
from todo_api.models import DeletedTodo, TodoItem, TodoList
from todo_api.queries.bulk import Affected, BulkQuery
from todo_api.single_model.changes import changes_of_many
from todo_api.single_model.table import column

_ID = column(DeletedTodo, "id")
_ONE: ColumnElement[int] = literal_column("1")
_ZERO: ColumnElement[int] = literal_column("0")


async def restore(deleted: DeletedTodo, session: Session) -> TodoItem:
    """Restore a todo with the subtasks that the same request deleted."""
    await _restore(select(DeletedTodo.id).where(col(DeletedTodo.id) == deleted.id), session)
    return (await session.exec(select(TodoItem).where(col(TodoItem.id) == deleted.id))).one()


async def restore_many(matching: BulkQuery[DeletedTodo], session: Session) -> Affected:
    """Restore all todos that match as if each were restored by itself, those first that were deleted last.

    Raises Invalid without a filter, TooMany over the limit.
    """
    ids = matching.ids_that_match(session)
    matched = (await session.exec(select(func.count()).select_from(ids.subquery()))).one()
    return matching.check(Affected(matched=matched, changed=await _restore(ids, session)))


async def _restore(ids: SelectOfScalar[int], session: Session) -> int:
    """Restore these todos with their subtasks; how many they are.

    They get their place while they are in the trash. Their mark is an `act` of 0 and the number of this change.
    """
    together = is_among(_ID, _deleted_together(ids), session.dialect)
    count = (await session.exec(update(DeletedTodo).where(together).values(act=0))).rowcount
    session.deadline.expect(count)
    number = await session.number(session.owner)

    def marked(todo: type[DeletedTodo]) -> ColumnElement[bool]:
        return and_(col(todo.change) == number, col(todo.act) == 0)

    def is_marked(todo: type[DeletedTodo]) -> ColumnElement[bool]:
        """The same of a todo that is found by its id. The sum keeps the index of `change` out of the plan: PostgreSQL
        takes the todos that were just marked for few, and would look through all of them for each."""
        return and_(col(todo.change) + _ZERO == number, col(todo.act) == 0)

    live, other, their_list = aliased(TodoItem), aliased(DeletedTodo), aliased(TodoList)
    has_parent = or_(
        select(live.id).where(col(live.id) == DeletedTodo.parent_id).exists(),
        select(other.id).where(col(other.id) == DeletedTodo.parent_id, is_marked(other)).exists(),
    )
    has_list = select(their_list.id).where(col(their_list.id) == DeletedTodo.list_id).exists()
    places = {
        "parent_id": case((has_parent, DeletedTodo.parent_id), else_=null()),
        "list_id": case((has_list, DeletedTodo.list_id), else_=null()),
    }
    ours = marked(DeletedTodo)
    await session.exec(update(DeletedTodo).where(ours).values(places))
    subtask = select(DeletedTodo.id).where(ours, col(DeletedTodo.parent_id).is_not(None)).limit(1)
    if (await session.exec(subtask)).first() is not None:
        too_deep = is_among(_ID, _too_deep(ours, is_marked), session.dialect)
        while (await session.exec(update(DeletedTodo).where(ours, too_deep).values(parent_id=None))).rowcount:
            pass  # those below it may now have their place
        await _follow(ours, live, col(live.id).is_not(None), session)
        while await _follow(ours, other, is_marked(other), session):
            pass  # it goes down by one level each time
    await session.move(Move(DeletedTodo, TodoItem, ours, changes_of_many(DeletedTodo, {})))
    return count


def _deleted_together(ids: SelectOfScalar[int]) -> SelectOfScalar[int]:
    """The ids, and those of all todos below them that the same request deleted.

    `act` alone would not tell: what a rename of an owner has merged has one `change`. The index needs the instant.
    """
    same = ("deleted_at", "change", "act")
    first: Any = [getattr(DeletedTodo, name) for name in ("id", *same)]
    tree = select(*first).where(col(DeletedTodo.id).in_(ids)).cte("tree", recursive=True, nesting=True)
    child = aliased(DeletedTodo)
    is_below = and_(*(getattr(child, name) == tree.c[name] for name in same), col(child.parent_id) == tree.c.id)
    next_one: Any = [getattr(child, name) for name in ("id", *same)]
    tree = tree.union(select(*next_one).join(tree, is_below))
    found: SelectOfScalar[int] = select(tree.c.id)
    return found


def _too_deep(ours: ColumnElement[bool], is_marked: Any) -> SelectOfScalar[int]:
    """The marked todos that can't be below their parent, as what was deleted with them would come to be too deep.

    It walks up from every marked todo; `top` is the highest one that was deleted with it, `height` levels above it.
    Only the highest of those tops are found, as others may be right once these are at the top.
    """
    first: Any = (
        col(DeletedTodo.id).label("top"),
        DeletedTodo.parent_id,
        DeletedTodo.deleted_at,
        _ONE.label("level"),
        _ONE.label("height"),
        _ONE.label("is_together"),
    )
    start = select(*first).where(ours, col(DeletedTodo.parent_id).is_not(None))
    up: CTE = start.cte("up", recursive=True, nesting=True)
    live, other = aliased(TodoItem), aliased(DeletedTodo)
    together = and_(up.c.is_together == _ONE, col(other.deleted_at) == up.c.deleted_at)
    next_one: Any = (
        case((together, other.id), else_=up.c.top),
        func.coalesce(live.parent_id, other.parent_id),
        up.c.deleted_at,
        up.c.level + _ONE,
        case((together, up.c.height + _ONE), else_=up.c.height),
        case((together, _ONE), else_=_ZERO),
    )
    above = select(*next_one).select_from(up).outerjoin(live, col(live.id) == up.c.parent_id)
    above = above.outerjoin(other, and_(col(other.id) == up.c.parent_id, is_marked(other)))
    up = up.union_all(above.where(or_(col(live.id).is_not(None), col(other.id).is_not(None))))
    is_over = and_(up.c.parent_id.is_(None), up.c.level == MAX_LEVELS + 1)
    highest = select(func.max(up.c.height)).where(is_over).scalar_subquery()
    found: SelectOfScalar[int] = select(up.c.top).where(is_over, up.c.height == highest)
    return found


async def _follow(ours: ColumnElement[bool], parent: Any, which: ColumnElement[bool], session: Session) -> int:
    """Put todos into the list of their parent, where it is one of these; how many were in another one."""
    theirs = select(parent.list_id).where(parent.id == DeletedTodo.parent_id, which)
    differs = theirs.where(parent.list_id.is_distinct_from(DeletedTodo.list_id)).exists()
    values = {"list_id": theirs.scalar_subquery()}
    return (await session.exec(update(DeletedTodo).where(ours, differs).values(values))).rowcount
