"""The story in the calls of openapi-generator's `python`."""

import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import TypeAlias

from todo_sdk import (
    Affected,
    ApiClient,
    ApiException,
    Configuration,
    CreateTodoItem,
    CreateTodoList,
    ListsApi,
    ManyTodosApi,
    Move,
    TodoItem,
    TodoList,
    TodosApi,
    UpdateTodoItem,
)
from todo_sdk import Problem as SentProblem
from todo_sdk.api_response import ApiResponse

from tests.sdks.story import Answer, Problem, tell


class OpenapiGenerator:
    def __init__(self, url: str) -> None:
        client = ApiClient(Configuration(host=url))
        self._todos, self._many = TodosApi(client), ManyTodosApi(client)
        self._lists = ListsApi(client)

    def create(self, task: str) -> Answer:
        # The model refuses an empty task before anything is sent, and the server is to refuse it.
        todo = CreateTodoItem(task=task) if task else CreateTodoItem.model_construct(task=task)
        return _answer(lambda: self._todos.create_todo_with_http_info(todo))

    def create_once(self, task: str, key: str) -> Answer:
        todo = CreateTodoItem(task=task)
        return _answer(lambda: self._todos.create_todo_with_http_info(todo, idempotency_key=key))

    def list_page(self, limit: int, cursor: str | None) -> Answer:
        return _answer(lambda: self._todos.list_todos_with_http_info(limit=limit, cursor=cursor))

    def list_of(self, ids: list[int]) -> Answer:
        return _answer(lambda: self._todos.list_todos_with_http_info(ids=ids))

    def list_in_order(self) -> Answer:
        return _answer(lambda: self._todos.list_todos_with_http_info(sort="position"))

    def get(self, todo_id: int) -> Answer:
        return _answer(lambda: self._todos.get_todo_with_http_info(todo_id))

    def put(self, todo_id: int, task: str, if_match: str) -> Answer:
        changes = UpdateTodoItem(task=task)
        return _answer(lambda: self._todos.update_todo_with_http_info(todo_id, changes, if_match=if_match))

    def patch(self, todo_id: int, complete: bool) -> Answer:
        changes = UpdateTodoItem(complete=complete)
        return _answer(lambda: self._todos.patch_todo_with_http_info(todo_id, changes))

    def delete(self, todo_id: int, if_match: str | None) -> Answer:
        return _answer(lambda: self._todos.delete_todo_with_http_info(todo_id, if_match=if_match))

    def create_dated(self, task: str, due_on: date, tags: list[str]) -> Answer:
        todo = CreateTodoItem(task=task, due_on=due_on, tags=tags)
        return _answer(lambda: self._todos.create_todo_with_http_info(todo))

    def set_due_at(self, todo_id: int, due_at: datetime | None) -> Answer:
        changes = UpdateTodoItem(due_at=due_at)
        return _answer(lambda: self._todos.patch_todo_with_http_info(todo_id, changes))

    def move_to_top(self, todo_id: int) -> Answer:
        return _answer(lambda: self._todos.move_todo_with_http_info(todo_id, Move(to="top")))

    def complete_many(self, ids: list[int]) -> Answer:
        changes = UpdateTodoItem(complete=True)
        return _answer(lambda: self._many.patch_todos_with_http_info(changes, ids=ids))

    def create_list(self, name: str) -> Answer:
        return _answer(lambda: self._lists.create_list_with_http_info(CreateTodoList(name=name)))

    def set_list(self, todo_id: int, list_id: int) -> Answer:
        changes = UpdateTodoItem(list_id=list_id)
        return _answer(lambda: self._todos.patch_todo_with_http_info(todo_id, changes))

    def create_below(self, task: str, parent_id: int) -> Answer:
        todo = CreateTodoItem(task=task, parent_id=parent_id)
        return _answer(lambda: self._todos.create_todo_with_http_info(todo))

    def delete_list(self, list_id: int) -> Answer:
        return _answer(lambda: self._lists.delete_list_with_http_info(list_id))


Sent: TypeAlias = (
    ApiResponse[TodoItem]
    | ApiResponse[list[TodoItem]]
    | ApiResponse[TodoList]
    | ApiResponse[Affected]
    | ApiResponse[None]
)


def _answer(call: Callable[[], Sent]) -> Answer:
    try:
        response = call()
    except ApiException as error:
        sent = error.data
        assert isinstance(sent, SentProblem)
        pointers = [each.pointer for each in sent.errors or []]
        problem = Problem(sent.type, sent.title, sent.status, sent.detail, pointers)
        return Answer(error.status, error.headers or {}, problem)
    return Answer(response.status_code, response.headers or {}, response.data)


tell(OpenapiGenerator(sys.argv[1]))
