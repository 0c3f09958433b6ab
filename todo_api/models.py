"""The tables."""

from typing import Annotated

from annotated_types import Ge, Le
from sqlalchemy import Index
from sqlmodel import Field

from todo_api.fields import BIG_INTEGER, MAX_ID, Id, Line
from todo_api.owners import Owned
from todo_api.selection import Filterable, Searchable
from todo_api.table import Internal, ServerSet


class TodoItem(Owned, table=True):
    """Something to do."""

    __tablename__ = "todo_items"
    # AUTOINCREMENT: without it SQLite gives the id of the last row again once that row is deleted.
    # Every statement of a request names the owner, so every index begins with it.
    __table_args__ = (
        Index(None, "owner", "id"),
        Index(None, "owner", "complete", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Annotated[Id, ServerSet] = Field(
        default=None, primary_key=True, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Identifies the todo; set by the server and never given to another todo."""
    task: Annotated[Line, Searchable] = Field(min_length=1, max_length=500, schema_extra={"examples": ["Buy milk"]})
    """What is to be done: 1 to 500 characters on one line; white space around it is dropped."""
    complete: Annotated[bool, Filterable] = Field(default=False, schema_extra={"examples": [False]})
    """Whether it is done; false for a new todo unless sent."""
    version: Annotated[int, Ge(1), Le(MAX_ID), ServerSet] = Field(
        default=1, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Starts at 1 and grows with every change; `ETag` is made of it."""

    create_examples = [{"task": "Buy milk"}, {"task": "Buy bread", "complete": True}]
    update_examples = [{"complete": True}, {"task": "Buy oat milk"}]


class AccessToken(Owned, table=True):
    """What a caller shows to act for its owner, who made it by the command line."""

    __tablename__ = "access_tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Annotated[Id, ServerSet] = Field(default=None, primary_key=True, sa_type=BIG_INTEGER)
    """Identifies the token to the one who revokes it."""
    name: Line | None = Field(default=None, max_length=80)
    """What it is for, in the words of the one who made it."""
    read_only: bool = False
    """Whether it can read alone."""
    expires_at: int = Field(sa_type=BIG_INTEGER)
    """When it stops, in seconds since 1970 (UTC), which is what the clock of a request says."""
    digest: Annotated[str, Internal] = Field(max_length=64, unique=True)
    """The SHA-256 of the token, which itself is kept nowhere. Its 256 random bits need no slower hash."""
