"""The story in the calls of openapi-python-client."""

import sys
from datetime import date, datetime
from typing import Any, TypeAlias

from todo_sdk import AuthenticatedClient, Client
from todo_sdk.api.lists import create_list, delete_list
from todo_sdk.api.many_todos import patch_todos
from todo_sdk.api.todos import (
    create_todo,
    delete_todo,
    get_todo,
    list_todos,
    move_todo,
    patch_todo,
    update_todo,
)
from todo_sdk.models import (
    Affected,
    CreateTodoItem,
    CreateTodoList,
    Move,
    MoveTo,
    TodoItem,
    TodoList,
    UpdateTodoItem,
)
from todo_sdk.models import Problem as SentProblem
from todo_sdk.types import UNSET, Response, Unset

from tests.sdks.story import Answer, Problem, Todo, tell


class OpenapiPythonClient:
    def __init__(self, url: str, token: str | None = None) -> None:
        # Any: the client of a server that asks for tokens takes no Client.
        self._client: Any = Client(url, raise_on_unexpected_status=True)
        if token is not None:
            self._client = AuthenticatedClient(url, token, raise_on_unexpected_status=True)

    def create(self, task: str) -> Answer:
        return _answer(create_todo.sync_detailed(client=self._client, body=CreateTodoItem(task)))

    def create_once(self, task: str, key: str) -> Answer:
        return _answer(create_todo.sync_detailed(client=self._client, body=CreateTodoItem(task), idempotency_key=key))

    def list_page(self, limit: int, cursor: str | None) -> Answer:
        return _answer(list_todos.sync_detailed(client=self._client, limit=limit, cursor=cursor or UNSET))

    def list_of(self, ids: list[int]) -> Answer:
        return _answer(list_todos.sync_detailed(client=self._client, ids=ids))

    def list_in_order(self) -> Answer:
        return _answer(list_todos.sync_detailed(client=self._client, sort="position"))

    def get(self, todo_id: int) -> Answer:
        return _answer(get_todo.sync_detailed(todo_id, client=self._client))

    def put(self, todo_id: int, task: str, if_match: str) -> Answer:
        changes = UpdateTodoItem(task=task)
        return _answer(update_todo.sync_detailed(todo_id, client=self._client, body=changes, if_match=if_match))

    def patch(self, todo_id: int, complete: bool) -> Answer:
        changes = UpdateTodoItem(complete=complete)
        return _answer(patch_todo.sync_detailed(todo_id, client=self._client, body=changes))

    def delete(self, todo_id: int, if_match: str | None) -> Answer:
        return _answer(delete_todo.sync_detailed(todo_id, client=self._client, if_match=if_match or UNSET))

    def create_dated(self, task: str, due_on: date, tags: list[str]) -> Answer:
        todo = CreateTodoItem(task, due_on=due_on, tags=tags)
        return _answer(create_todo.sync_detailed(client=self._client, body=todo))

    def set_due_at(self, todo_id: int, due_at: datetime | None) -> Answer:
        changes = UpdateTodoItem(due_at=due_at)
        return _answer(patch_todo.sync_detailed(todo_id, client=self._client, body=changes))

    def move_to_top(self, todo_id: int) -> Answer:
        return _answer(move_todo.sync_detailed(todo_id, client=self._client, body=Move(to=MoveTo.TOP)))

    def complete_many(self, ids: list[int]) -> Answer:
        changes = UpdateTodoItem(complete=True)
        return _answer(patch_todos.sync_detailed(client=self._client, body=changes, ids=ids))

    def create_list(self, name: str) -> Answer:
        return _answer(create_list.sync_detailed(client=self._client, body=CreateTodoList(name)))

    def set_list(self, todo_id: int, list_id: int) -> Answer:
        changes = UpdateTodoItem(list_id=list_id)
        return _answer(patch_todo.sync_detailed(todo_id, client=self._client, body=changes))

    def create_below(self, task: str, parent_id: int) -> Answer:
        return _answer(create_todo.sync_detailed(client=self._client, body=CreateTodoItem(task, parent_id=parent_id)))

    def delete_list(self, list_id: int) -> Answer:
        return _answer(delete_list.sync_detailed(list_id, client=self._client))


Sent: TypeAlias = (
    Response[SentProblem | TodoItem]
    | Response[SentProblem | list[TodoItem]]
    | Response[SentProblem | TodoList]
    | Response[Affected | SentProblem]
    | Response[None]
)


def _answer(response: Sent) -> Answer:
    content: Todo | list[TodoItem] | TodoList | Affected | Problem | None
    if isinstance(response.parsed, SentProblem):
        sent = response.parsed
        errors = [] if isinstance(sent.errors, Unset) else sent.errors
        content = Problem(sent.type_, sent.title, sent.status, sent.detail, [error.pointer for error in errors])
    else:
        content = response.parsed
    return Answer(response.status_code, response.headers, content)


tell(OpenapiPythonClient(*sys.argv[1:]))
