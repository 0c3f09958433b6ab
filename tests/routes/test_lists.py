"""Lists, and the todos in them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process

PROBLEM = "application/problem+json"


@pytest.fixture
def filled(client: TestClient) -> TestClient:
    """A client with the lists 1 and 2, and a todo in each and one in none."""
    for name in ("Groceries", "Work"):
        client.post("/lists", json={"name": name})
    for todo in ({"task": "Buy milk", "list_id": 1}, {"task": "Call Ann", "list_id": 2}, {"task": "Breathe"}):
        assert client.post("/todos", json=todo).status_code == 201
    return client


def tasks(client: TestClient, query: str) -> list[str]:
    return [todo["task"] for todo in client.get(f"/todos?{query}").json()]


def refusal(answer: Any) -> tuple[int, str, str]:
    """The status, the pointer and the code of the only error."""
    (error,) = answer.json()["errors"]
    return answer.status_code, error["pointer"], error["code"]


def test_a_list_is_made_read_renamed_and_deleted(client: TestClient) -> None:
    made = client.post("/lists", json={"name": "  Groceries "})
    stamps = {"created_at": made.json()["created_at"], "updated_at": made.json()["created_at"]}
    assert made.status_code == 201
    assert made.json() == {"id": 1, "name": "Groceries", "position": 65_536, **stamps, "version": 1}
    assert (made.headers["location"], made.headers["etag"]) == ("http://127.0.0.1:8000/lists/1", '"1"')
    assert client.get("/lists/1").json() == client.get("/lists").json()[0] == made.json()
    assert client.get("/lists/1", headers={"if-none-match": '"1"'}).status_code == 304

    put = client.put("/lists/1", json=made.json() | {"name": "Shopping"}, headers={"if-match": '"1"'})
    assert (put.json()["name"], put.json()["version"], put.headers["etag"]) == ("Shopping", 2, '"2"')
    assert client.patch("/lists/1", json={"position": 5}, headers={"if-match": '"1"'}).status_code == 412
    assert client.patch("/lists/1", json={"position": 5}).json()["name"] == "Shopping"
    assert refusal(client.patch("/lists/1", json={"version": 9})) == (422, "/version", "set_by_server")

    assert client.delete("/lists/1?dry_run=true").headers["x-dry-run"] == "true"
    assert client.delete("/lists/1", headers={"if-match": '"2"'}).status_code == 412
    assert client.delete("/lists/1").status_code == 204
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/lists/1", json={} if method[0] == "P" else None).status_code == 404
    assert client.post("/lists", json={"name": "New"}).json()["id"] == 2


@pytest.mark.parametrize(
    ("pointer", "body"),
    [
        ("/name", {}),
        ("/name", {"name": " "}),
        ("/name", {"name": "x" * 101}),
        ("/name", {"name": "two\nlines"}),
        ("/name", {"name": None}),
        ("/position", {"name": "x", "position": 2**53}),
        ("/id", {"name": "x", "id": 7}),
        ("/todos", {"name": "x", "todos": []}),
    ],
    ids=str,
)
def test_a_bad_member_of_a_list_is_refused_by_its_name(client: TestClient, pointer: str, body: Any) -> None:
    answer = client.post("/lists", json=body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert client.get("/lists").json() == []


def test_lists_are_searched_sorted_and_cut_into_pages(client: TestClient) -> None:
    for name in ("Übung", "Work", "uBUNGEN", "Work"):
        assert client.post("/lists", json={"name": name}).status_code == 201

    def found(query: str) -> list[int]:
        return [each["id"] for each in client.get(f"/lists?{query}").json()]

    assert found("q=ubung") == [1, 3]
    assert found("q=u") == [1, 3]
    assert found("ids=4&ids=2") == [2, 4]
    assert found("sort=name") == [2, 4, 3, 1]
    assert found("sort=-position") == [4, 3, 2, 1]
    page = client.get("/lists?sort=name&limit=3&count=true")
    assert page.headers["x-total-count"] == "4"
    assert [each["id"] for each in client.get(page.links["next"]["url"]).json()] == [1]
    assert client.get("/lists?complete=true").status_code == 422


def test_a_todo_is_in_a_list_or_in_none(filled: TestClient) -> None:
    assert tasks(filled, "list_id=1") == ["Buy milk"]
    assert tasks(filled, "list_id=99") == []
    assert tasks(filled, "has_list=false") == ["Breathe"]
    assert tasks(filled, "has_list=true") == ["Buy milk", "Call Ann"]
    assert tasks(filled, "sort=-list_id") == ["Call Ann", "Buy milk", "Breathe"]

    moved = filled.patch("/todos/1", json={"list_id": 2})
    assert (moved.json()["list_id"], moved.json()["version"]) == (2, 2)
    assert filled.patch("/todos/1", json={"list_id": 2}).json()["version"] == 2
    assert filled.patch("/todos/1", json={"list_id": None}).json()["list_id"] is None
    assert filled.patch("/todos?has_list=false", json={"list_id": 1}).json() == {"matched": 2, "changed": 2}
    made = filled.post("/todos/bulk", json=[{"task": "a", "list_id": 2}, {"task": "b"}]).json()
    assert [todo["list_id"] for todo in made] == [2, None]
    assert filled.get("/lists/1").json()["version"] == 1  # what is in a list is no member of it


def test_an_unknown_list_is_refused_wherever_it_is_named(filled: TestClient) -> None:
    before = filled.get("/todos").json()
    for method, path, body in (
        ("POST", "/todos", {"task": "x", "list_id": 99}),
        ("PUT", "/todos/1", {"list_id": 99}),
        ("PATCH", "/todos/1", {"task": "x", "list_id": 99}),
        ("PATCH", "/todos?list_id=1", {"list_id": 99}),
    ):
        assert refusal(filled.request(method, path, json=body)) == (422, "/list_id", "no_such_list")
    many = filled.post("/todos/bulk", json=[{"task": "x", "list_id": number} for number in (1, 98, 2, 99)])
    assert [error["pointer"] for error in many.json()["errors"]] == ["/1/list_id", "/3/list_id"]
    assert filled.get("/todos").json() == before


def test_the_list_of_another_owner_is_as_unknown_as_one_that_never_was(database_url: str) -> None:
    with in_process(database_url=database_url, auth="token") as client:
        alice, bob = as_owner(database_url, "alice"), as_owner(database_url, "bob")
        client.post("/lists", json={"name": "Secret"}, headers=alice)
        client.post("/todos", json={"task": "x"}, headers=bob)
        for method, path in (("POST", "/todos"), ("PATCH", "/todos/1"), ("PATCH", "/todos?ids=1")):
            theirs, unknown = (
                client.request(method, path, json={"task": "y", "list_id": number}, headers=bob) for number in (1, 99)
            )
            assert refusal(theirs) == (422, "/list_id", "no_such_list")
            assert theirs.content == unknown.content
        assert client.get("/todos?list_id=1", headers=bob).json() == []
        assert client.delete("/lists/1?with_todos=true", headers=bob).status_code == 404


def test_a_list_with_todos_is_deleted_only_with_them(filled: TestClient) -> None:
    filled.post("/todos", json={"task": "Buy bread", "parent_id": 1})

    refused = filled.delete("/lists/1")
    assert (refused.status_code, refused.headers["content-type"]) == (409, PROBLEM)
    assert refused.json().items() >= {"type": "/problems/not-empty", "matched": 2}.items()
    too_many = filled.delete("/lists/1?with_todos=true&max_affected=1")
    assert too_many.status_code == 409
    assert too_many.json().items() >= {"type": "/problems/too-many-affected", "matched": 2, "changed": 2}.items()
    assert filled.delete("/lists/1?with_todos=true&dry_run=true").status_code == 204
    assert tasks(filled, "list_id=1") == ["Buy milk", "Buy bread"]

    assert filled.delete("/lists/1?with_todos=true&max_affected=2").status_code == 204
    assert tasks(filled, "") == ["Call Ann", "Breathe"]
    assert [filled.get(f"/lists/{number}").status_code for number in (1, 2)] == [404, 200]
    assert filled.delete("/lists/2?with_todos=maybe").json()["errors"][0]["pointer"] == "with_todos"
    assert filled.delete("/lists/2?with_todos=1").status_code == 204
