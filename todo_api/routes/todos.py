"""The endpoints of todos."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from todo_api.features.move import Move, move_todo_to, place_all_last, place_last
from todo_api.features.subtasks import change, change_many, delete_tree, place_new, with_subtasks
from todo_api.features.trash import throw_away
from todo_api.http.current import Current
from todo_api.http.routing import Route, SessionDep
from todo_api.http.signatures import may_take_along
from todo_api.models import TodoItem
from todo_api.queries.bulk import Affected, BulkQuery
from todo_api.queries.listing import Listing
from todo_api.single_model.bodies import Changes, New

router = APIRouter(prefix="/todos", tags=["todos"], route_class=Route)
many = APIRouter(prefix="/todos", tags=["many todos"], route_class=Route)
MEBIBYTE = 1024 * 1024


@router.post("", status_code=201)
async def create_todo(todo: New[TodoItem], session: SessionDep) -> TodoItem:
    """Create a todo

    `Location` leads to the new todo.
    """
    place_last(todo)
    await place_new([todo], session, one=True)
    session.add(todo)
    await session.commit()
    return todo


@router.get("")
async def list_todos(todos: Listing[TodoItem], session: SessionDep) -> Response:
    """List todos

    Oldest first, unless `sort` or a range such as `due_before` says otherwise. When there are more, `Link` leads to
    the next page.
    """
    return await todos.respond(session)


@router.get("/{todo_id:member}")
async def get_todo(todo: Current[TodoItem]) -> TodoItem:
    """Get a todo

    `ETag` names its version; send it as `If-None-Match` to be answered 304 while the todo is the same.
    """
    return todo


@router.put("/{todo_id:member}")
@may_take_along
async def update_todo(todo: Current[TodoItem], changes: Changes[TodoItem], session: SessionDep) -> TodoItem:
    """Update a todo, the same as PATCH

    Changes the members that are sent and **keeps the others**: wiping what a client did not send, because it did not
    know it, would do more harm than good.
    """
    await change(todo, changes, session)
    await session.commit()
    return todo


@router.patch("/{todo_id:member}")
@may_take_along
async def patch_todo(todo: Current[TodoItem], changes: Changes[TodoItem], session: SessionDep) -> TodoItem:
    """Update a todo, the same as PUT

    Changes the members that are sent and **keeps the others**: a JSON merge patch (RFC 7396).
    """
    await change(todo, changes, session)
    await session.commit()
    return todo


@router.delete("/{todo_id:member}", status_code=204)
@may_take_along
async def delete_todo(todo: Current[TodoItem], session: SessionDep) -> None:
    """Delete a todo

    Its subtasks are deleted with it. All go to the trash; their ids are never given to other todos.
    """
    await delete_tree(todo, session)
    await session.commit()


@router.post("/{todo_id:member}/move")
async def move_todo(todo: Current[TodoItem], move: Move, session: SessionDep) -> TodoItem:
    """Move a todo

    Before or after another todo, or to an end of the list in the order of `position`. Other todos change only when
    there is no room between two neighbours. `sort=position` shows the list in that order.
    """
    await move_todo_to(todo, move, session)
    await session.commit()
    return todo


@many.post("/bulk", status_code=201, max_body_size=MEBIBYTE)
async def create_todos(
    todos: Annotated[list[New[TodoItem]], Body(min_length=1, max_length=500)], session: SessionDep
) -> list[TodoItem]:
    """Create many todos

    Up to 500 at once, of 1 MiB in all, and either all of them or none. They are answered in the order in which they
    were sent.
    """
    await place_all_last(todos, session)
    await place_new(todos, session)
    session.add_all(todos)
    await session.commit()
    return todos


@many.patch("")
async def patch_todos(matching: BulkQuery[TodoItem], changes: Changes[TodoItem], session: SessionDep) -> Affected:
    """Patch all todos that match

    All that match the filters are changed, or none of them. At least one filter is needed.
    """
    affected = await change_many(matching, changes, session)
    await session.commit()
    return affected


@many.delete("")
async def delete_todos(matching: BulkQuery[TodoItem], session: SessionDep) -> Affected:
    """Delete all todos that match

    All that match the filters go to the trash with their subtasks, or none of them: `complete=true` clears what is
    done. At least one filter is needed.
    """
    affected = await matching.delete(session, with_subtasks, throw_away)
    await session.commit()
    return affected
