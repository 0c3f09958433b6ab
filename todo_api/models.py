"""The tables."""

from typing import Annotated

from annotated_types import Ge, Le
from sqlalchemy import JSON, ForeignKeyConstraint, Index, Text, text
from sqlmodel import Field

from todo_api.database.counters import Counted
from todo_api.queries.comparisons import After, AtLeast, AtMost, Before, Equals, OneOf
from todo_api.queries.due import Due
from todo_api.queries.references import Refers
from todo_api.queries.search import Words
from todo_api.queries.tags import Tagged
from todo_api.single_model.columns import BIG_INTEGER, UTC_DATETIME
from todo_api.single_model.fields import MAX_INTEGER, MAX_TEXT, Day, Id, Instant, Line, OptionalText, Tags
from todo_api.single_model.marks import Created, FoldOf, InsteadOf, Internal, ServerSet, Since, Updated


def _index_where(condition: str, *names: str) -> Index:
    """An index of the rows of which the condition holds."""
    return Index(None, *names, sqlite_where=text(condition), postgresql_where=text(condition))


class TodoMembers(Counted):
    """The members of a todo, be it there or deleted."""

    noun = "todo"

    id: Annotated[Id, ServerSet, OneOf("ids")] = Field(
        default=None, primary_key=True, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Identifies the todo; set by the server and never given to another todo."""
    task: Annotated[Line, Words("q", "task", "notes")] = Field(
        min_length=1, max_length=500, schema_extra={"examples": ["Buy milk"]}
    )
    """What is to be done: 1 to 500 characters on one line, no control characters, not blank; the ends are trimmed."""
    complete: Annotated[bool, Equals()] = Field(default=False, schema_extra={"examples": [False]})
    """Whether it is done; false for a new todo unless sent."""
    notes: OptionalText = Field(default=None, max_length=MAX_TEXT, schema_extra={"examples": ["Two litres,\nno sugar"]})
    """More about it: up to 16,384 characters on any number of lines, no other control characters; null when blank."""
    due_on: Day | None = Field(default=None, schema_extra={"examples": ["2026-12-24"]})
    """The day on which it is due, without a time zone; null when there is none. Setting it clears `due_at`."""
    due_at: Annotated[Instant | None, InsteadOf("due_on"), Due("due_on")] = Field(
        default=None, sa_type=UTC_DATETIME, schema_extra={"examples": [None]}
    )
    """The instant when it is due (RFC 3339), answered in UTC; null when there is none. Setting it clears `due_on`."""
    priority: Annotated[
        int,
        Ge(0),
        Le(9),
        Equals(),
        AtLeast("priority_min", "as urgent or less"),
        AtMost("priority_max", "as urgent or more, and those of 0, which says nothing"),
    ] = Field(default=0, schema_extra={"examples": [5]})
    """How urgent it is (RFC 5545, section 3.8.1.9): 1 is the most urgent, 9 the least, 0 says nothing."""
    tags: Annotated[Tags, Tagged("tag")] = Field(default=[], sa_type=JSON, schema_extra={"examples": [["shopping"]]})
    """Up to 32 distinct tags in their order, each 1 to 64 characters on one line, trimmed, no control characters."""
    list_id: Annotated[Id | None, Refers("has_list", none_indexed=True)] = Field(
        default=None, sa_type=BIG_INTEGER, schema_extra={"examples": [None]}
    )
    """The list that it is in; null when it is in none. A subtask is in the list of its parent."""
    parent_id: Annotated[Id | None, Refers("has_parent", none_indexed=False)] = Field(
        default=None, sa_type=BIG_INTEGER, schema_extra={"examples": [None]}
    )
    """The todo that it is a subtask of; null at the top. There are at most 8 levels, the top being the first."""
    task_folded: Annotated[str, Internal, FoldOf("task")] = Field(
        default=None, sa_type=Text, sa_column_kwargs={"server_default": ""}
    )
    """The task as a search sees it; set by the session."""
    notes_folded: Annotated[str | None, Internal, FoldOf("notes")] = Field(default=None, sa_type=Text)
    """The notes as a search sees them; set by the session."""
    position: Annotated[int, Ge(-MAX_INTEGER), Le(MAX_INTEGER)] = Field(
        default=None, sa_type=BIG_INTEGER, sa_column_kwargs={"server_default": "0"}, schema_extra={"examples": [65_536]}
    )
    """Where it stands among the todos, the lowest first; need not be unique. A new todo gets the end unless sent."""
    created_at: Annotated[Instant, ServerSet, Created, After("created_after")] = Field(
        default=None,
        sa_type=UTC_DATETIME,
        schema_extra={"examples": ["2026-11-25T09:30:00.123456Z"]},
    )
    """When it was created, in UTC."""
    updated_at: Annotated[Instant, ServerSet, Updated, After("updated_after")] = Field(
        default=None,
        sa_type=UTC_DATETIME,
        schema_extra={"examples": ["2026-11-25T09:30:00.123456Z"]},
    )
    """When it was changed last, in UTC; at first the same as `created_at`."""
    completed_at: Annotated[
        Instant | None, ServerSet, Since("complete"), After("completed_after"), Before("completed_before")
    ] = Field(default=None, sa_type=UTC_DATETIME, schema_extra={"examples": [None]})
    """When `complete` became true, in UTC; null while it is false."""
    version: Annotated[int, Ge(1), Le(MAX_INTEGER), ServerSet] = Field(
        default=1, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Starts at 1 and grows with every change; `ETag` is made of it."""


class TodoItem(TodoMembers, table=True):
    """Something to do."""

    __tablename__ = "todo_items"
    # AUTOINCREMENT: without it SQLite gives the id of the last row again once that row is deleted.
    # Every statement of a request names the owner, so the indexes begin with it.
    __table_args__ = (
        Index(None, "owner", "id"),
        *(
            Index(None, "owner", member, "id")
            for member in (
                "complete",
                "priority",
                "list_id",
                "position",
                "created_at",
                "updated_at",
                "version",
                "change",
            )
        ),
        _index_where("parent_id IS NOT NULL", "owner", "parent_id", "id"),
        # In these two the database looks when a list or a parent is deleted.
        _index_where("list_id IS NOT NULL", "list_id", "owner", "id"),
        _index_where("parent_id IS NOT NULL", "parent_id", "owner", "id"),
        ForeignKeyConstraint(["list_id"], ["todo_lists.id"]),
        ForeignKeyConstraint(["parent_id"], ["todo_items.id"]),
        {"sqlite_autoincrement": True},
    )

    create_examples = [
        {"task": "Buy milk"},
        {"task": "Wrap the presents", "due_on": "2026-12-24", "priority": 1, "tags": ["family"]},
    ]
    update_examples = [{"complete": True}, {"task": "Buy oat milk", "tags": ["shopping"]}, {"due_on": None}]


class DeletedTodo(TodoMembers, table=True):
    """A todo in the trash."""

    __tablename__ = "deleted_todos"
    place = " in the trash"
    # As few as will do: each costs a delete of many on PostgreSQL. By the second one, the subtasks are found that were
    # deleted together with a todo.
    __table_args__ = (Index(None, "owner", "change", "id"), Index(None, "owner", "deleted_at", "parent_id"))

    deleted_at: Annotated[Instant, ServerSet] = Field(
        default=None, sa_type=UTC_DATETIME, schema_extra={"examples": ["2026-11-26T18:00:00.123456Z"]}
    )
    """When it was deleted, in UTC."""
    act: Annotated[int, Internal] = Field(default=None)
    """Which of the requests with the same `change` deleted it: a number by chance."""

    list_filters = (
        (OneOf("ids"), "id"),
        (Words("q", "task", "notes", indexed=False), "task"),
        (After("deleted_after"), "deleted_at"),
        (Before("deleted_before"), "deleted_at"),
    )
    list_order = "-change"


class TodoList(Counted, table=True):
    """A list of todos."""

    __tablename__ = "todo_lists"
    noun = "list"
    __table_args__ = (
        *(Index(None, "owner", *names) for names in (("id",), ("position", "id"), ("change", "id"))),
        {"sqlite_autoincrement": True},
    )

    id: Annotated[Id, ServerSet, OneOf("ids")] = Field(
        default=None, primary_key=True, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Identifies the list; set by the server and never given to another list."""
    name: Annotated[Line, Words("q", "name", indexed=False)] = Field(
        min_length=1, max_length=100, schema_extra={"examples": ["Groceries"]}
    )
    """What it is called: 1 to 100 characters on one line, no control characters, not blank; the ends are trimmed."""
    name_folded: Annotated[str, Internal, FoldOf("name")] = Field(
        default=None, sa_type=Text, sa_column_kwargs={"server_default": ""}
    )
    """The name as a search sees it; set by the session."""
    position: Annotated[int, Ge(-MAX_INTEGER), Le(MAX_INTEGER)] = Field(
        default=None, sa_type=BIG_INTEGER, schema_extra={"examples": [65_536]}
    )
    """Where it stands among the lists, the lowest first; need not be unique. A new list gets the end unless sent."""
    created_at: Annotated[Instant, ServerSet, Created] = Field(
        default=None, sa_type=UTC_DATETIME, schema_extra={"examples": ["2026-11-25T09:30:00.123456Z"]}
    )
    """When it was created, in UTC."""
    updated_at: Annotated[Instant, ServerSet, Updated] = Field(
        default=None, sa_type=UTC_DATETIME, schema_extra={"examples": ["2026-11-25T09:30:00.123456Z"]}
    )
    """When it was changed last, in UTC; at first the same as `created_at`."""
    version: Annotated[int, Ge(1), Le(MAX_INTEGER), ServerSet] = Field(
        default=1, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Starts at 1 and grows with every change; `ETag` is made of it."""

    create_examples = [{"name": "Groceries"}]
    update_examples = [{"name": "Shopping"}, {"position": 65_536}]
