"""The contract of the endpoints."""

import pytest
from fastapi.testclient import TestClient


def test_an_empty_list_is_an_empty_array(client: TestClient) -> None:
    answer = client.get("/todos")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == "[]"


def test_a_new_todo_is_answered_whole_with_its_address(client: TestClient) -> None:
    answer = client.post("/todos", json={"task": "Buy milk"})

    assert answer.status_code == 201
    assert answer.headers["location"] == "http://127.0.0.1:8000/todos/1"
    assert answer.json().items() >= {"id": 1, "task": "Buy milk", "complete": False}.items()
    assert client.get(answer.headers["location"]).json() == answer.json()


def test_a_new_todo_can_be_complete_from_the_start(client: TestClient) -> None:
    answer = client.post("/todos", json={"task": "Buy milk", "complete": True})

    assert answer.json()["complete"] is True


def test_white_space_around_a_task_is_dropped(client: TestClient) -> None:
    padding = " " * 600
    answer = client.post("/todos", json={"task": f"\t{padding}Buy  milk\u00a0{padding}\n"})

    assert answer.json()["task"] == "Buy  milk"


@pytest.mark.parametrize("task", ["x", "x" * 500, "é" * 500, "🎂" * 500, "买牛奶", "'; DROP TABLE todo_items; --"])
def test_a_task_is_kept_as_it_was_sent(client: TestClient, task: str) -> None:
    answer = client.post("/todos", json={"task": task})

    assert answer.json()["task"] == task
    assert client.get("/todos/1").json()["task"] == task


def test_todos_are_listed_oldest_first(client: TestClient) -> None:
    for task in ("first", "second", "third"):
        client.post("/todos", json={"task": task})
    client.put("/todos/1", json={"complete": True})

    assert [todo["task"] for todo in client.get("/todos").json()] == ["first", "second", "third"]


def test_a_list_has_a_hundred_todos_at_the_most_unless_asked_otherwise(client: TestClient) -> None:
    for number in range(102):
        client.post("/todos", json={"task": f"task {number}"})

    assert len(client.get("/todos").json()) == 100
    assert len(client.get("/todos?limit=500").json()) == 102
    assert [todo["id"] for todo in client.get("/todos?limit=2").json()] == [1, 2]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"complete": True}, {"id": 1, "task": "Buy milk", "complete": True}),
        ({"task": "Buy bread"}, {"id": 1, "task": "Buy bread", "complete": False}),
        ({"task": "Buy bread", "complete": True}, {"id": 1, "task": "Buy bread", "complete": True}),
        ({}, {"id": 1, "task": "Buy milk", "complete": False}),
    ],
    ids=["complete alone", "task alone", "both", "nothing"],
)
def test_an_update_changes_what_is_sent_and_keeps_the_rest(
    client: TestClient, method: str, changes: dict[str, object], now: dict[str, object]
) -> None:
    client.post("/todos", json={"task": "Buy milk"})

    answer = client.request(method, "/todos/1", json=changes)

    assert answer.status_code == 200
    assert answer.json().items() >= now.items()
    assert client.get("/todos/1").json() == answer.json()


def test_members_are_answered_in_the_order_of_the_schema(client: TestClient) -> None:
    order = list(client.get("/openapi.json").json()["components"]["schemas"]["TodoItem"]["properties"])

    assert list(client.post("/todos", json={"complete": True, "task": "Buy milk"}).json()) == order
    assert list(client.put("/todos/1", json={"complete": False}).json()) == order
    assert list(client.get("/todos/1").json()) == order
    assert list(client.get("/todos").json()[0]) == order


def test_a_merge_patch_is_a_patch(client: TestClient) -> None:
    client.post("/todos", json={"task": "Buy milk"})

    answer = client.patch(
        "/todos/1", content='{"complete": true}', headers={"content-type": "application/merge-patch+json"}
    )

    assert answer.json().items() >= {"id": 1, "task": "Buy milk", "complete": True}.items()


def test_a_deleted_todo_is_gone(client: TestClient) -> None:
    client.post("/todos", json={"task": "Buy milk"})

    answer = client.delete("/todos/1")

    assert answer.status_code == 204
    assert answer.content == b""
    assert "content-type" not in answer.headers
    assert client.get("/todos/1").status_code == 404
    assert client.get("/todos").json() == []


def test_the_id_of_a_deleted_todo_is_never_given_again(client: TestClient) -> None:
    client.post("/todos", json={"task": "Buy milk"})
    client.delete("/todos/1")

    assert client.post("/todos", json={"task": "Buy bread"}).json()["id"] == 2


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_todo_that_does_not_exist_is_not_found(client: TestClient, method: str) -> None:
    answer = client.request(method, "/todos/1", json={} if method.startswith("P") else None)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no todo with this id.",
    }


def test_the_root_leads_to_the_docs(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.url.path == "/docs"
    assert answer.headers["content-type"].startswith("text/html")
