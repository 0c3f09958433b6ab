"""Lists that todos are in."""

from fastapi import APIRouter, Response

from todo_api.features.lists import WithTodos, delete_with_todos
from todo_api.features.move import place_last
from todo_api.http.current import Current
from todo_api.http.routing import Route, SessionDep
from todo_api.models import TodoList
from todo_api.queries.listing import Listing
from todo_api.single_model.bodies import Changes, New

router = APIRouter(prefix="/lists", tags=["lists"], route_class=Route)


@router.post("", status_code=201)
async def create_list(new: New[TodoList], session: SessionDep) -> TodoList:
    """Create a list"""
    place_last(new)
    session.add(new)
    await session.commit()
    return new


@router.get("")
async def list_lists(lists: Listing[TodoList], session: SessionDep) -> Response:
    """List lists"""
    return await lists.respond(session)


@router.get("/{list_id}")
async def get_list(found: Current[TodoList]) -> TodoList:
    """Get a list"""
    return found


@router.put("/{list_id}")
async def update_list(found: Current[TodoList], changes: Changes[TodoList], session: SessionDep) -> TodoList:
    """Update a list, the same as PATCH"""
    changes.apply(found)
    await session.commit()
    return found


@router.patch("/{list_id}")
async def patch_list(found: Current[TodoList], changes: Changes[TodoList], session: SessionDep) -> TodoList:
    """Update a list, the same as PUT"""
    changes.apply(found)
    await session.commit()
    return found


@router.delete("/{list_id}", status_code=204)
async def delete_list(found: Current[TodoList], with_todos: WithTodos, session: SessionDep) -> None:
    """Delete a list

    A list with todos is refused with 409, unless `with_todos=true` sends them to the trash. A list can't be restored.
    """
    await delete_with_todos(found, with_todos, session)
    await session.commit()
