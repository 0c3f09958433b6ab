"""Many todos at once: created, changed or deleted, all of them or none."""

from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient


def fill(client: TestClient, *tasks: str) -> None:
    todos = [{"task": task.removeprefix("x "), "complete": task.startswith("x ")} for task in tasks]
    assert client.post("/todos/bulk", json=todos).status_code == 201


def tasks(client: TestClient, query: str = "") -> list[str]:
    return [todo["task"] for todo in client.get(f"/todos?{query}").json()]


def test_many_are_created_in_their_order_and_answered_as_they_are(client: TestClient) -> None:
    client.post("/todos", json={"task": "first"})
    sent = [{"task": f"task {number}"} | ({"tags": ["odd"]} if number % 2 else {}) for number in range(500)]
    answer = client.post("/todos/bulk", json=sent)

    assert answer.status_code == 201
    created = answer.json()
    assert [todo["task"] for todo in created] == [todo["task"] for todo in sent]
    assert [todo["id"] for todo in created] == list(range(2, 502))
    assert client.get("/todos?limit=500&sort=position&ids=2&ids=3&ids=501").json() == [
        created[0],
        created[1],
        created[499],
    ]
    assert tasks(client, "sort=-position&limit=2") == ["task 499", "task 498"]
    assert len(tasks(client, "tag=odd&limit=500")) == 250


def test_in_bulk_a_todo_without_a_position_gets_the_end_as_one_alone_does(client: TestClient) -> None:
    sent = [{"task": "a", "position": 100_000_000}, {"task": "b"}, {"task": "c", "position": 5}, {"task": "d"}]
    alone = [client.post("/todos", json=todo).json()["position"] for todo in sent]
    client.delete("/todos?has_due=false")

    assert [todo["position"] for todo in client.post("/todos/bulk", json=sent).json()] == alone
    assert tasks(client, "sort=position") == ["c", "a", "b", "d"]


@pytest.mark.parametrize(
    ("pointers", "body"),
    [
        (["/3/task"], [{"task": "x"}] * 3 + [{"task": ""}]),
        (["/0/task", "/2/colour"], [{}, {"task": "x"}, {"task": "x", "colour": "red"}]),
        (["/1"], [{"task": "x"}, {"task": "x", "due_on": "2026-12-24", "due_at": "2026-12-24T18:00:00Z"}]),
        ([""], []),
        ([""], [{"task": "x"}] * 501),
        ([""], {"task": "x"}),
    ],
    ids=["one", "two", "a rule between members", "none", "too many", "no list"],
)
def test_when_one_is_bad_none_is_created(client: TestClient, pointers: list[str], body: Any) -> None:
    answer = client.post("/todos/bulk", json=body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert tasks(client) == []


def test_what_is_complete_is_cleared(client: TestClient) -> None:
    fill(client, "a", "x b", "x c")

    answer = client.delete("/todos?complete=true")

    assert answer.status_code == 200
    assert answer.json() == {"matched": 2, "changed": 2}
    assert tasks(client) == ["a"]
    assert client.delete("/todos?complete=true").json() == {"matched": 0, "changed": 0}


def test_all_that_match_are_changed_and_those_that_are_so_already_stay_as_they_are(client: TestClient) -> None:
    fill(client, "milk", "x milk too", "bread")
    before = client.get("/todos").json()

    answer = client.patch("/todos?q=milk", json={"complete": True, "tags": ["dairy"], "priority": 2})
    again = client.patch("/todos?q=milk", json={"complete": True, "tags": ["dairy"], "priority": 2})
    milk, milk_too, bread = client.get("/todos").json()

    assert answer.json() == {"matched": 2, "changed": 2}
    assert again.json() == {"matched": 2, "changed": 0}
    assert milk == milk | {"complete": True, "tags": ["dairy"], "priority": 2, "version": 2}
    assert milk["created_at"] < milk["completed_at"] <= milk["updated_at"]
    assert milk_too["completed_at"] == before[1]["completed_at"]
    assert milk_too["version"] == 2
    assert bread == before[2]
    assert tasks(client, "tag=dairy") == ["milk", "milk too"]


FOUR: list[dict[str, Any]] = [
    {"task": "a", "tags": ["t", "u"], "due_on": "2000-01-01", "priority": 9},
    {"task": "b", "tags": ["t"], "due_at": "2000-01-02T12:00:00Z", "priority": 1, "complete": True},
    {"task": "c", "due_at": "2999-12-24T18:00:00Z", "priority": 5, "complete": True},
    {"task": "d"},
]
"""Of which the first is updated last."""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tag=t", "ab"),
        ("tag=t&tag=u", "a"),
        ("tag=t&complete=true", "b"),
        ("due_before=2000-01-02", "a"),
        ("due_before=2000-01-03&tz=Europe/Paris", "ab"),
        ("due_after=2000-01-01", "bc"),
        ("due_after=2000-01-01T23:30:00Z", "bc"),
        ("overdue=true", "a"),
        ("overdue=false", "bcd"),
        ("created_after={1[created_at]}", "cd"),
        ("updated_after={3[updated_at]}", "a"),
        ("completed_after={1[completed_at]}", "c"),
        ("completed_before={2[completed_at]}", "b"),
        ("priority_min=5", "ac"),
        ("priority_max=1", "bd"),
        ("ids={0[id]}&ids={3[id]}&ids=99", "ad"),
    ],
)
def test_a_change_of_many_is_of_those_alone_that_its_filters_find(client: TestClient, query: str, found: str) -> None:
    query = query.format(*(client.post("/todos", json=todo).json() for todo in FOUR))
    client.patch("/todos/1", json={"notes": "updated"})
    before = client.get("/todos").json()
    patched = client.patch(f"/todos?{query}", json={"notes": "changed"}).json()
    after = client.get("/todos").json()
    deleted = client.delete(f"/todos?{query}").json()

    assert [new["task"] for old, new in zip(before, after, strict=True) if new != old] == list(found)
    assert [todo["task"] for todo in after if todo["notes"] == "changed"] == list(found)
    assert tasks(client) == [task for task in "abcd" if task not in found]
    assert patched == deleted == {"matched": len(found), "changed": len(found)}


def test_a_change_of_many_keeps_the_rules_between_members(client: TestClient) -> None:
    client.post("/todos", json={"task": "a", "due_at": "2026-12-24T18:00:00Z", "complete": True})

    assert client.patch("/todos?has_due=true", json={"due_on": "2026-12-25", "complete": False}).json()["changed"] == 1
    (todo,) = client.get("/todos").json()
    assert todo == todo | {"due_on": "2026-12-25", "due_at": None, "completed_at": None}


def test_what_is_filtered_by_may_be_what_is_changed(client: TestClient) -> None:
    fill(client, "a", "x b")

    answer = client.patch("/todos?complete=false&priority=0", json={"complete": True, "priority": 1})

    assert answer.json() == {"matched": 1, "changed": 1}
    assert tasks(client, "complete=true&priority=1") == ["a"]
    assert tasks(client, "complete=true&priority=0") == ["b"]


def test_null_is_another_value_in_a_change_of_many(client: TestClient) -> None:
    fill(client, "a")
    for members in ({"notes": "more"}, {"notes": None}, {"due_on": "2026-12-24"}, {"due_on": None}):
        assert client.patch("/todos?complete=false", json=members).json() == {"matched": 1, "changed": 1}
        assert client.get("/todos/1").json().items() >= members.items()


def test_a_change_to_nothing_changes_nothing(client: TestClient) -> None:
    fill(client, "a", "b")

    assert client.patch("/todos?complete=false", json={}).json() == {"matched": 2, "changed": 0}


@pytest.mark.parametrize("query", ["", "max_affected=5", "tz=Europe/Paris", "dry_run=true"])
def test_a_change_of_all_needs_a_filter(client: TestClient, query: str) -> None:
    fill(client, "a", "x b")
    for answer in (client.delete(f"/todos?{query}"), client.patch(f"/todos?{query}", json={"complete": True})):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "no_filter"
    assert tasks(client, "complete=false") == ["a"]


def test_more_than_allowed_are_refused_with_their_number(client: TestClient) -> None:
    fill(client, "a", "b", "x c")
    for answer in (
        client.delete("/todos?complete=false&max_affected=1"),
        client.patch("/todos?complete=false&max_affected=1", json={"priority": 1}),
    ):
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/too-many-affected"
        assert answer.json()["matched"] == 2
    assert tasks(client, "priority=0") == ["a", "b", "c"]
    assert client.delete("/todos?complete=false&max_affected=2").json() == {"matched": 2, "changed": 2}


def test_what_matches_counts_for_the_limit_be_it_changed_or_not(client: TestClient) -> None:
    fill(client, "a", "x b", "x c")

    refused = client.patch("/todos?priority=0&max_affected=2", json={"complete": True})
    assert (refused.status_code, refused.json()["matched"]) == (409, 3)
    assert tasks(client, "complete=false") == ["a"]
    allowed = client.patch("/todos?priority=0&max_affected=3", json={"complete": True})
    assert allowed.json() == {"matched": 3, "changed": 1}


@pytest.mark.parametrize(
    "query", ["limit=1", "sort=id", "cursor=WyI", "count=true", "max_affected=-1", "complete=maybe"]
)
def test_a_change_of_many_takes_filters_alone(client: TestClient, query: str) -> None:
    fill(client, "x a")
    for answer in (client.delete(f"/todos?{query}"), client.patch(f"/todos?{query}", json={"priority": 1})):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == query.split("=")[0]
    assert tasks(client) == ["a"]


def test_every_filter_of_the_list_serves_a_change_of_many(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/todos"]
    filters = {
        method: {each["name"] for each in described[method]["parameters"] if each["in"] == "query"}
        for method in ("get", "patch", "delete")
    }
    of_the_list_alone, of_many_alone = {"limit", "cursor", "sort", "count"}, {"max_affected", "dry_run"}

    assert filters["patch"] == filters["delete"] == filters["get"] - of_the_list_alone | of_many_alone


@pytest.mark.parametrize("query", ["tag=t", "tag=t&tag=u", "q=milk"])
def test_hundreds_of_new_todos_are_found_by_what_they_have_at_once(client: TestClient, query: str) -> None:
    """Of which PostgreSQL, that looks at a table anew each minute, knows nothing yet."""
    for _ in range(2):
        client.post("/todos/bulk", json=[{"task": "Buy milk", "tags": ["t", "u"]}] * 400)

    found = {"matched": 800, "changed": 800}
    assert client.patch(f"/todos?{query}", json={"priority": 1}).json() == found
    assert client.delete(f"/todos?{query}").json() == found


@pytest.mark.slow
def test_ten_thousand_are_cleared_at_once(client: TestClient) -> None:
    for _ in range(20):
        client.post("/todos/bulk", json=[{"task": "x", "complete": True, "tags": ["t"]} for _ in range(500)])
    fill(client, "stays")

    assert client.delete("/todos?complete=true").json() == {"matched": 10_000, "changed": 10_000}
    assert tasks(client) == ["stays"]
    assert tasks(client, "tag=t") == []


WRITES: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", "/todos", {"task": "new"}),
    "create many": ("POST", "/todos/bulk", [{"task": "new"}, {"task": "newer"}]),
    "update": ("PUT", "/todos/1", {"complete": True, "tags": ["t"]}),
    "patch": ("PATCH", "/todos/1", {"task": "b"}),
    "delete": ("DELETE", "/todos/1", None),
    "move": ("POST", "/todos/1/move", {"to": "bottom"}),
    "patch many": ("PATCH", "/todos?complete=false", {"priority": 1}),
    "delete many": ("DELETE", "/todos?complete=false", None),
}


@pytest.mark.parametrize(("method", "path", "body"), WRITES.values(), ids=WRITES.keys())
def test_a_dry_run_answers_the_same_and_changes_nothing(client: TestClient, method: str, path: str, body: Any) -> None:
    fill(client, "a", "b")
    before = client.get("/todos").json()
    dry = client.request(method, path + ("&" if "?" in path else "?") + "dry_run=true", json=body)
    after = client.get("/todos").json()
    real = client.request(method, path, json=body)

    assert after == before
    assert client.get("/todos").json() != before
    assert dry.headers["x-dry-run"] == "true"
    assert "x-dry-run" not in real.headers
    assert dry.status_code == real.status_code
    assert without_what_differs(dry.content and dry.json()) == without_what_differs(real.content and real.json())
    assert headers_of(dry) == headers_of(real)


def headers_of(answer: httpx.Response) -> dict[str, str]:
    """The headers that a dry run has as well, with the id in `Location` written as what it is."""
    ignored = {"x-request-id", "x-dry-run", "content-length"}  # a time stamp of a whole second is shorter
    found = {name: value for name, value in answer.headers.items() if name not in ignored}
    if "location" in found:
        found["location"] = found["location"].replace(str(answer.json()["id"]), "{id}")
    return found


def without_what_differs(body: Any) -> Any:
    """A todo without its id, which PostgreSQL never gives again after a dry run; of its instants, which there are."""
    if isinstance(body, list):
        return [without_what_differs(each) for each in body]
    if isinstance(body, dict):
        return {
            name: value and "an instant" if name.endswith("_at") else value
            for name, value in body.items()
            if name != "id"
        }
    return body


def test_a_dry_run_finds_what_is_wrong(client: TestClient) -> None:
    fill(client, "a")

    refusals: list[tuple[int, str, str, Any, dict[str, str]]] = [
        (422, "POST", "/todos", {"task": ""}, {}),
        (422, "POST", "/todos/bulk", [{"task": "x"}, {}], {}),
        (422, "POST", "/todos/1/move", {"after": 9}, {}),
        (412, "PUT", "/todos/1", {}, {"if-match": '"7"'}),
        (404, "DELETE", "/todos/9", None, {}),
        (409, "DELETE", "/todos?complete=false&max_affected=0", None, {}),
        (409, "PATCH", "/todos?complete=false&max_affected=0", {"priority": 1}, {}),
    ]
    for status, method, path, body, headers in refusals:
        dry_path = path + ("&" if "?" in path else "?") + "dry_run=true"
        dry = client.request(method, dry_path, json=body, headers=headers)
        real = client.request(method, path, json=body, headers=headers)

        assert dry.status_code == real.status_code == status
        assert dry.json() == real.json()
        assert (dry.headers["x-dry-run"], real.headers.get("x-dry-run")) == ("true", None)
    assert client.post("/todos?dry_run=perhaps", json={"task": "x"}).json()["errors"][0]["pointer"] == "dry_run"
    assert client.post("/todos?dry_run=false", json={"task": "b"}).status_code == 201
    assert tasks(client) == ["a", "b"]
    assert client.get("/todos?dry_run=true").status_code == 422
