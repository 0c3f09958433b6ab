"""What every Python client does."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Protocol, runtime_checkable


class Todo(Protocol):
    id: int
    task: str
    complete: bool
    due_on: date | None
    due_at: datetime | None
    tags: list[str]
    list_id: int | None
    parent_id: int | None
    version: int


@runtime_checkable
class TodoList(Protocol):
    id: int
    name: str
    version: int


@runtime_checkable
class Affected(Protocol):
    matched: int
    changed: int


@dataclass
class Problem:
    type: str
    title: str
    status: int
    detail: str
    pointers: Sequence[str]


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    content: Todo | Sequence[Todo] | TodoList | Affected | Problem | None


class Sdk(Protocol):
    """A generated client, in the few words that the story needs."""

    def create(self, task: str) -> Answer: ...
    def list_page(self, limit: int, cursor: str | None) -> Answer: ...
    def list_of(self, ids: list[int]) -> Answer: ...
    def list_in_order(self) -> Answer: ...
    def get(self, todo_id: int) -> Answer: ...
    def put(self, todo_id: int, task: str, if_match: str) -> Answer: ...
    def patch(self, todo_id: int, complete: bool) -> Answer: ...
    def delete(self, todo_id: int, if_match: str | None) -> Answer: ...
    def create_dated(self, task: str, due_on: date, tags: list[str]) -> Answer: ...
    def set_due_at(self, todo_id: int, due_at: datetime | None) -> Answer: ...
    def move_to_top(self, todo_id: int) -> Answer: ...
    def complete_many(self, ids: list[int]) -> Answer: ...
    def create_list(self, name: str) -> Answer: ...
    def set_list(self, todo_id: int, list_id: int) -> Answer: ...
    def create_below(self, task: str, parent_id: int) -> Answer: ...
    def delete_list(self, list_id: int) -> Answer: ...
    def create_once(self, task: str, key: str) -> Answer: ...


def tell(sdk: Sdk) -> None:
    for task in ("Buy milk", "Walk the dog", "Read a book"):
        show("create", sdk.create(task))
    first_page = show("list", sdk.list_page(2, None))
    last_page = show("list", sdk.list_page(2, first_page.headers["x-next-cursor"]))
    assert "x-next-cursor" not in last_page.headers
    show("list of 1 and 3", sdk.list_of([1, 3]))
    stale = show("get", sdk.get(1)).headers["etag"]
    fresh = show("patch", sdk.patch(1, True)).headers["etag"]
    show("stale put", sdk.put(1, "Buy bread", stale))
    show("put", sdk.put(1, "Buy bread", fresh))
    show("stale delete", sdk.delete(1, stale))
    show("delete", sdk.delete(1, None))
    show("get", sdk.get(1))
    show("dated", sdk.create_dated("Wrap it", date(2026, 12, 24), ["red", "blue", "green"]))
    show("due at", sdk.set_due_at(4, datetime(2026, 12, 24, 18, 30, tzinfo=timezone(timedelta(hours=1)))))
    show("never due", sdk.set_due_at(4, None))
    show("move", sdk.move_to_top(4))
    show("in order", sdk.list_in_order())
    show("complete many", sdk.complete_many([2, 3, 4]))
    show("make list", sdk.create_list("Groceries"))
    show("into list", sdk.set_list(4, 1))
    show("subtask", sdk.create_below("Fold it", 4))
    show("not empty", sdk.delete_list(1))
    show("once", sdk.create_once("Water it", "key-1"))
    assert show("again", sdk.create_once("Water it", "key-1")).headers["idempotency-replayed"] == "true"
    show("create", sdk.create(""))


def show(step: str, answer: Answer) -> Answer:
    words = [f"{step}: {answer.status}"]
    content = answer.content
    if isinstance(content, Problem):
        assert content.status == answer.status
        words.append(f"{content.type}, {content.title}: {content.detail}")
        words += [f"({pointer})" for pointer in content.pointers]
    elif isinstance(content, Sequence):
        words += [f"#{todo.id}" for todo in content]
    elif isinstance(content, Affected):
        words.append(f"{content.matched} matched, {content.changed} changed")
    elif isinstance(content, TodoList):
        words.append(f"#{content.id} v{content.version} {content.name}")
    elif content is not None:
        assert answer.headers["etag"] == f'"{content.version}"'
        members = [content.task, "done" if content.complete else "open"]
        if content.due_on:
            members.append(content.due_on.isoformat())
        if content.due_at:
            members.append(content.due_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        members += [" ".join(content.tags)] if content.tags else []
        members += [f"in list {content.list_id}"] if content.list_id else []
        members += [f"below {content.parent_id}"] if content.parent_id else []
        words.append(f"#{content.id} v{content.version} {', '.join(members)}")
    sys.stdout.write(" ".join(words) + "\n")
    return answer
