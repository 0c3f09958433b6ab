"""The table class, which belongs at the end of todo_api/models.py."""

from typing import Annotated

from annotated_types import Ge, Le
from sqlalchemy import Index
from sqlmodel import Field

from todo_api.database.counters import Counted
from todo_api.queries.comparisons import AtLeast, Equals, OneOf
from todo_api.single_model.columns import BIG_INTEGER
from todo_api.single_model.fields import MAX_INTEGER, Id, Line
from todo_api.single_model.marks import ServerSet


class Book(Counted, table=True):
    """Something to read."""

    __tablename__ = "books"
    __table_args__ = (
        *(Index(None, "owner", *names) for names in (("id",), ("pages", "id"), ("change", "id"))),
        {"sqlite_autoincrement": True},
    )
    noun = "book"

    id: Annotated[Id, ServerSet, OneOf("ids")] = Field(
        default=None, primary_key=True, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Identifies the book."""
    title: Annotated[Line, Equals()] = Field(min_length=1, max_length=80, schema_extra={"examples": ["Emma"]})
    """Its title, on one line."""
    pages: Annotated[int, Ge(1), Le(10_000), AtLeast("pages_min")] = Field(default=1, schema_extra={"examples": [474]})
    """How many pages it has."""
    version: Annotated[int, Ge(1), Le(MAX_INTEGER), ServerSet] = Field(
        default=1, sa_type=BIG_INTEGER, schema_extra={"examples": [1]}
    )
    """Starts at 1 and grows with every change; `ETag` is made of it."""

    create_examples = [{"title": "Emma"}]
    update_examples = [{"pages": 474}]
