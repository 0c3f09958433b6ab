"""Deleted todos: they can be restored, until they are purged."""

from fastapi import APIRouter, Response

from todo_api.features.restore import restore, restore_many
from todo_api.http.current import Current
from todo_api.http.routing import Route, SessionDep
from todo_api.http.signatures import may_lack_tag, may_take_along
from todo_api.models import DeletedTodo, TodoItem
from todo_api.queries.bulk import Affected, BulkQuery
from todo_api.queries.listing import Listing

router = APIRouter(prefix="/trash", tags=["trash"], route_class=Route)


@router.get("")
async def list_trash(deleted: Listing[DeletedTodo], session: SessionDep) -> Response:
    """List deleted todos

    Last deleted first. When there are more, `Link` leads to the next page.
    """
    return await deleted.respond(session)


@router.get("/{todo_id:member}")
async def get_deleted_todo(deleted: Current[DeletedTodo]) -> DeletedTodo:
    """Get a deleted todo"""
    return deleted


@router.post("/{todo_id:member}/restore")
@may_take_along
@may_lack_tag
async def restore_todo(deleted: Current[DeletedTodo], session: SessionDep) -> TodoItem:
    """Restore a todo

    It comes back with its id, and with the subtasks that the same request deleted. It has its place, its parent and
    its list again: without a parent where that is gone, in the trash, or too deep in a tree for it; in no list where
    the list is gone.
    """
    restored = await restore(deleted, session)
    await session.commit()
    return restored


@router.post("/restore")
@may_lack_tag
async def restore_todos(matching: BulkQuery[DeletedTodo], session: SessionDep) -> Affected:
    """Restore all deleted todos that match

    All that match the filters are restored, or none of them, each with the subtasks that the same request deleted:
    `deleted_after` undoes what was deleted by mistake. At least one filter is needed.
    """
    affected = await restore_many(matching, session)
    await session.commit()
    return affected


@router.delete("/{todo_id:member}", status_code=204)
async def purge_todo(deleted: Current[DeletedTodo], session: SessionDep) -> None:
    """Delete a todo for good

    It alone: its subtasks stay in the trash.
    """
    await session.delete(deleted)
    await session.commit()


@router.delete("")
async def purge_todos(matching: BulkQuery[DeletedTodo], session: SessionDep) -> Affected:
    """Delete all deleted todos that match for good

    All that match the filters, or none of them. At least one filter is needed.
    """
    affected = await matching.delete(session)
    await session.commit()
    return affected
