"""What a list does to the todos in it."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field
from sqlalchemy import bindparam, func
from sqlmodel import col, select

from todo_api.database.session import Session
from todo_api.features.trash import throw_away
from todo_api.http.parts import Part
from todo_api.http.problems import NotEmpty
from todo_api.models import TodoItem, TodoList
from todo_api.queries.bulk import Affected, Bounded
from todo_api.single_model.fields import TrueOrFalse


class _WithTodos(Bounded):
    with_todos: TrueOrFalse = Field(
        default=False,
        description="Whether to delete the todos in it as well; a list with todos is refused with 409 otherwise.",
        examples=[True],
    )


WithTodos = Annotated[
    _WithTodos, Part(_WithTodos.read, parameters=_WithTodos.parameters(), problems=(NotEmpty,), is_of_many=True)
]
"""Whether the todos in a list are deleted with it, and how many there may be."""

_KNOWN = select(TodoList.id).where(col(TodoList.id).in_(bindparam("ids", expanding=True)))


async def delete_with_todos(todo_list: TodoList, with_todos: WithTodos, session: Session) -> None:
    """Delete a list with the todos in it, which are whole trees. Raises NotEmpty unless that was asked for; TooMany."""
    is_in_it = col(TodoItem.list_id) == todo_list.id
    matched = (await session.exec(select(func.count()).select_from(TodoItem).where(is_in_it))).one()
    if matched and not with_todos.with_todos:
        raise NotEmpty(matched)
    with_todos.check(Affected(matched=matched, changed=matched))
    if matched:
        await throw_away(is_in_it, session)
    await session.delete(todo_list)


async def known_lists(ids: Collection[int], session: Session) -> set[int]:
    """Those of the ids that are lists of this owner."""
    return set(await session.exec(_KNOWN, params={"ids": [*ids]})) if ids else set()
