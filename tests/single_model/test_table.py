"""The single-model core, with a table of which the product knows nothing."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, ClassVar

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import AfterValidator, field_validator, model_validator
from sqlalchemy import MetaData
from sqlmodel import Field

from todo_api.http import errors
from todo_api.http.gate import Gate
from todo_api.http.pace import Pace
from todo_api.http.room import Room
from todo_api.queries.listing import Listing
from todo_api.queries.search import Words
from todo_api.single_model.bodies import Changes, New
from todo_api.single_model.columns import BIG_INTEGER
from todo_api.single_model.fields import Id, Line
from todo_api.single_model.marks import Internal, ServerSet
from todo_api.single_model.table import Table, member_names


def even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Book(Table, table=True):
    """Something to read."""

    metadata: ClassVar[MetaData] = MetaData()  # apart from the product's own tables

    id: Annotated[Id, ServerSet] = Field(default=None, primary_key=True, sa_type=BIG_INTEGER)
    """Identifies the book."""
    title: Annotated[Line, Words("q", "title")] = Field(min_length=1, max_length=80)
    """Its title."""
    pages: Annotated[int, AfterValidator(even)] = Field(default=2, ge=1)
    """Its pages, two a leaf."""
    subtitle: Line | None = Field(default=None, max_length=80)
    """Its second title, null when there is none."""
    published_on: date | None = None
    """The day of its first print, null when unknown."""
    shelf: Annotated[str, Internal] = Field(default="A", max_length=8)
    """Where it is kept, which is nobody's business."""


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(Gate, pace=Pace(5), answers=Room())

    @app.post("/books")
    async def create_book(book: New[Book]) -> Book:
        book.id = 1
        return book

    @app.patch("/books/1")
    async def patch_book(changes: Changes[Book]) -> Book:
        book = Book(id=1, title="Emma", pages=4, subtitle="A novel")
        changes.apply(book)
        return book

    with TestClient(app) as client:
        yield client


def test_a_body_makes_a_row_with_the_defaults_of_the_table(client: TestClient) -> None:
    assert client.post("/books", json={"title": " Emma "}).text == (
        '{"id":1,"title":"Emma","pages":2,"subtitle":null,"published_on":null}'
    )


def test_absent_and_null_are_kept_apart(client: TestClient) -> None:
    assert client.patch("/books/1", json={}).json()["subtitle"] == "A novel"
    assert client.patch("/books/1", json={"subtitle": None}).json()["subtitle"] is None
    assert client.patch("/books/1", json={"title": None}).status_code == 422


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": "Emma", "pages": 3}, "/pages"),
        ({"title": "Emma", "pages": 0}, "/pages"),
        ({"title": "Emma", "pages": "4"}, "/pages"),
        ({"title": "Emma", "pages": 4.0}, "/pages"),
        ({"title": "Emma", "pages": True}, "/pages"),
        ({"title": "Emma", "pages": None}, "/pages"),
        ({"title": "x" * 81}, "/title"),
        ({"title": "Emma", "subtitle": "x" * 81}, "/subtitle"),
        ({"title": "Emma", "id": 5}, "/id"),
        ({"pages": 4}, "/title"),
    ],
)
def test_every_rule_of_a_field_holds_in_a_create_and_in_an_update(
    client: TestClient, body: dict[str, Any], pointer: str
) -> None:
    for method, path in (("POST", "/books"), ("PATCH", "/books/1")):
        if method == "PATCH" and pointer == "/title" and "title" not in body:
            continue
        answer = client.request(method, path, json=body)

        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_the_length_of_a_column_is_that_of_its_field() -> None:
    lengths = {column.name: getattr(column.type, "length", None) for column in Book.__table__.columns}

    assert (lengths["title"], lengths["subtitle"]) == (80, 80)


def test_an_internal_field_is_in_no_answer_no_body_no_sort_and_no_schema(client: TestClient) -> None:
    created = client.post("/books", json={"title": "Emma"})
    patched = client.patch("/books/1", json={"pages": 2})
    refused = [
        client.post("/books", json={"title": "Emma", "shelf": "B"}),
        client.patch("/books/1", json={"shelf": "B"}),
    ]

    assert "shelf" not in created.json()
    assert "shelf" not in patched.json()
    for answer in refused:
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/shelf"
        assert answer.json()["errors"][0]["code"] == "extra_forbidden"
    assert "shelf" not in client.get("/openapi.json").text
    assert "shelf" not in str(Listing[Book].parameters())
    assert "shelf" not in Book(id=1, title="Emma").model_dump()
    assert member_names(Book) == ("id", "title", "pages", "subtitle", "published_on")
    assert Book.__table__.columns["shelf"].type.length == 8  # type: ignore[attr-defined]


def test_a_validator_method_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(TypeError, match=r"Essay\.check is a validator method.*AfterValidator"):

        class Essay(Table):
            title: str

            @field_validator("title")
            @classmethod
            def check(cls, value: str) -> str:
                return value

    with pytest.raises(TypeError, match=r"Poem\.check is a validator method"):

        class Poem(Table):
            @model_validator(mode="after")
            def check(self) -> "Poem":
                return self


def test_a_primary_key_that_clients_could_set_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Song\.id is a primary key that clients could set"):

        class Song(Table):
            id: int = Field(default=None, primary_key=True)


def test_a_day_is_text_and_never_a_number(client: TestClient) -> None:
    assert (
        client.post("/books", json={"title": "Emma", "published_on": "1815-12-23"}).json()["published_on"]
        == "1815-12-23"
    )
    assert client.post("/books", json={"title": "Emma", "published_on": None}).json()["published_on"] is None
    for value in (0, 86400, 1.5, True, "yesterday", ["1815-12-23"]):
        answer = client.post("/books", json={"title": "Emma", "published_on": value})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/published_on"
