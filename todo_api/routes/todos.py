"""The endpoints of todos."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy import bindparam
from sqlmodel import col, select

from todo_api.conditional import IF_MATCH, IF_NONE_MATCH, check_if_match, check_if_none_match, entity_tag
from todo_api.database import SessionDep
from todo_api.fields import Digits, Id
from todo_api.listing import Listing
from todo_api.models import TodoItem
from todo_api.openapi import documented, not_modified
from todo_api.problems import NotFound, PreconditionFailed, PreconditionRequired
from todo_api.routing import Route
from todo_api.table import Changes, New

router = APIRouter(prefix="/todos", tags=["todos"], route_class=Route)

CONDITIONAL = (NotFound, PreconditionFailed, PreconditionRequired)
"""The problems of every change of a todo."""

# Made once: building a statement and its cache key cost a quarter of a request.
_BY_ID = select(TodoItem).where(col(TodoItem.id) == bindparam("id")).with_for_update()


async def load_todo(
    todo_id: Annotated[Id, Digits, Path(description="The id of the todo.", examples=[1])], session: SessionDep
) -> TodoItem:
    """The todo of the path, locked until the end of the transaction where there is one, or 404."""
    todo = (await session.exec(_BY_ID, params={"id": todo_id})).first()
    if todo is None:
        raise NotFound("There is no todo with this id.")
    return todo


TodoDep = Annotated[TodoItem, Depends(load_todo)]


@router.get("", responses=documented(headers=("Link", "X-Total-Count")), openapi_extra=Listing[TodoItem].parameters())
async def list_todos(session: SessionDep, request: Request, response: Response) -> list[TodoItem]:
    """List todos

    Oldest first unless `sort` says otherwise. When there are more, `Link` leads to the next page.
    """
    page = await Listing[TodoItem].read(request).fetch(session)
    response.headers.update(page.headers)
    return page.rows


@router.post("", status_code=201, responses=documented(success=201, headers=("Location", "ETag")))
async def create_todo(todo: New[TodoItem], session: SessionDep, request: Request, response: Response) -> TodoItem:
    """Create a todo

    `Location` leads to the new todo.
    """
    session.add(todo)
    await session.commit()
    response.headers.update({"Location": f"{request.scope['path']}/{todo.id}", "ETag": entity_tag(todo)})
    return todo


@router.get(
    "/{todo_id}",
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


@router.put("/{todo_id}", responses=documented(*CONDITIONAL, headers=("ETag",)), openapi_extra=IF_MATCH)
async def update_todo(
    todo: TodoDep, changes: Changes[TodoItem], session: SessionDep, request: Request, response: Response
) -> TodoItem:
    """Update a todo

    Changes the members that are sent and **keeps the others**, the same as PATCH: wiping what a client did not
    send, because it did not know it, would do more harm than good.
    """
    check_if_match(request, todo)
    changes.apply_to(todo)
    await session.commit()
    response.headers["ETag"] = entity_tag(todo)
    return todo


@router.patch("/{todo_id}", responses=documented(*CONDITIONAL, headers=("ETag",)), openapi_extra=IF_MATCH)
async def patch_todo(
    todo: TodoDep, changes: Changes[TodoItem], session: SessionDep, request: Request, response: Response
) -> TodoItem:
    """Patch a todo

    Changes the members that are sent and keeps the others: a JSON merge patch (RFC 7396).
    """
    return await update_todo(todo, changes, session, request, response)


@router.delete(
    "/{todo_id}",
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
