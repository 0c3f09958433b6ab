"""The endpoints of todos."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Request, Response

from todo_api.features.move import Move, move_todo_to, place_all_last, place_last
from todo_api.http.conditional import IF_MATCH, IF_NONE_MATCH, check_if_match, check_if_none_match, entity_tag
from todo_api.http.openapi import documented, not_modified
from todo_api.http.problems import NotFound, PreconditionFailed, PreconditionRequired, TooMany
from todo_api.http.routing import Route, SessionDep
from todo_api.models import TodoItem
from todo_api.queries.bulk import Affected, BulkQuery
from todo_api.queries.listing import Listing
from todo_api.single_model.fields import Digits, Id
from todo_api.single_model.table import Changes, New

router = APIRouter(prefix="/todos", tags=["todos"], route_class=Route)

CONDITIONAL = (NotFound, PreconditionFailed, PreconditionRequired)
"""The problems of every change of a todo."""


async def load_todo(
    todo_id: Annotated[Id, Digits, Path(description="The id of the todo.", examples=[1])], session: SessionDep
) -> TodoItem:
    """The todo of the path, locked until the end of the transaction where there is one, or 404."""
    todo = await session.get(TodoItem, todo_id)
    if todo is None:
        raise NotFound("There is no todo with this id.")
    return todo


TodoDep = Annotated[TodoItem, Depends(load_todo)]


async def wait_for_turn(session: SessionDep) -> None:
    """Wait for the other changes of many todos; needed before the first todo is locked."""
    await session.wait_for_turn()


@router.get(
    "",
    response_model=list[TodoItem],
    responses=documented(headers=("Link", "X-Total-Count")),
    openapi_extra=Listing[TodoItem].parameters(),
)
async def list_todos(session: SessionDep, request: Request) -> Response:
    """List todos

    Oldest first, unless `sort` or a range such as `due_before` says otherwise. When there are more, `Link` leads to
    the next page.
    """
    return await Listing[TodoItem].read(request).respond(session)


@router.post("", status_code=201, responses=documented(success=201, headers=("Location", "ETag")))
async def create_todo(todo: New[TodoItem], session: SessionDep, request: Request, response: Response) -> TodoItem:
    """Create a todo

    `Location` leads to the new todo.
    """
    await session.insert(todo, **place_last(todo))
    await session.commit()
    response.headers.update({"Location": f"{request.scope['path']}/{todo.id}", "ETag": entity_tag(todo)})
    return todo


@router.get(
    "/{todo_id:member}",
    responses=documented(NotFound, headers=("ETag",)) | not_modified(),
    openapi_extra=IF_NONE_MATCH,
)
async def get_todo(todo: TodoDep, request: Request, response: Response) -> TodoItem:
    """Get a todo

    `ETag` names its version; send it as `If-None-Match` to be answered 304 while the todo is the same.
    """
    check_if_none_match(request, todo)
    response.headers["ETag"] = entity_tag(todo)
    return todo


@router.put("/{todo_id:member}", responses=documented(*CONDITIONAL, headers=("ETag",)), openapi_extra=IF_MATCH)
async def update_todo(
    todo: TodoDep, changes: Changes[TodoItem], session: SessionDep, request: Request, response: Response
) -> TodoItem:
    """Update a todo

    Changes the members that are sent and **keeps the others**, the same as PATCH: wiping what a client did not
    send, because it did not know it, would do more harm than good.
    """
    check_if_match(request, todo)
    await session.update(todo, changes.members)
    await session.commit()
    response.headers["ETag"] = entity_tag(todo)
    return todo


@router.patch("/{todo_id:member}", responses=documented(*CONDITIONAL, headers=("ETag",)), openapi_extra=IF_MATCH)
async def patch_todo(
    todo: TodoDep, changes: Changes[TodoItem], session: SessionDep, request: Request, response: Response
) -> TodoItem:
    """Patch a todo

    Changes the members that are sent and keeps the others: a JSON merge patch (RFC 7396).
    """
    return await update_todo(todo, changes, session, request, response)


@router.delete(
    "/{todo_id:member}",
    status_code=204,
    response_class=Response,
    responses=documented(*CONDITIONAL),
    openapi_extra=IF_MATCH,
)
async def delete_todo(todo: TodoDep, session: SessionDep, request: Request) -> None:
    """Delete a todo

    Its id is never given to another todo.
    """
    check_if_match(request, todo)
    await session.delete(todo)
    await session.commit()


@router.post(
    "/{todo_id:member}/move",
    dependencies=[Depends(wait_for_turn)],
    responses=documented(*CONDITIONAL, headers=("ETag",)),
    openapi_extra=IF_MATCH,
)
async def move_todo(todo: TodoDep, move: Move, session: SessionDep, request: Request, response: Response) -> TodoItem:
    """Move a todo

    Before or after another todo, or to an end of the list in the order of `position`. Other todos change only when
    there is no room between two neighbours.
    """
    check_if_match(request, todo)
    await move_todo_to(todo, move, session)
    await session.commit()
    response.headers["ETag"] = entity_tag(todo)
    return todo


@router.patch("", responses=documented(TooMany), openapi_extra=BulkQuery[TodoItem].parameters())
async def patch_todos(changes: Changes[TodoItem], session: SessionDep, request: Request) -> Affected:
    """Patch all todos that match

    All that match the filters are changed, or none of them. At least one filter is needed.
    """
    affected = await BulkQuery[TodoItem].read(request).update(changes, session)
    await session.commit()
    return affected


@router.delete("", responses=documented(TooMany), openapi_extra=BulkQuery[TodoItem].parameters())
async def delete_todos(session: SessionDep, request: Request) -> Affected:
    """Delete all todos that match

    All that match the filters are deleted, or none of them: `complete=true` clears what is done. At least one filter
    is needed.
    """
    affected = await BulkQuery[TodoItem].read(request).delete(session)
    await session.commit()
    return affected


@router.post("/bulk", status_code=201)
async def create_todos(
    todos: Annotated[list[New[TodoItem]], Body(min_length=1, max_length=500)], session: SessionDep
) -> list[TodoItem]:
    """Create many todos

    Up to 500 at once, of 1 MiB in all, and either all of them or none. They are answered in the order in which they
    were sent.
    """
    await place_all_last(todos, session)
    await session.insert_all(todos)
    await session.commit()
    return todos
