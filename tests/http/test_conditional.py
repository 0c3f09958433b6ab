"""Conditional requests: no update is lost, and what the client has is not sent again."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.applications import in_process
from tests.databases import Backend

CHANGES = [("PUT", {"complete": True}, 200), ("PATCH", {"complete": True}, 200), ("DELETE", None, 204)]


@pytest.fixture(autouse=True)
def first(client: TestClient) -> None:
    client.post("/todos", json={"task": "Buy milk"})


def test_every_answer_with_one_todo_has_the_tag_of_its_version(client: TestClient) -> None:
    created = client.post("/todos", json={"task": "Buy bread"})
    got = client.get("/todos/2")
    updated = client.put("/todos/2", json={"complete": True})
    patched = client.patch("/todos/2", json={"task": "Buy rolls"})

    assert [answer.headers["etag"] for answer in (created, got, updated, patched)] == ['"1"', '"1"', '"2"', '"3"']
    assert [answer.json()["version"] for answer in (created, got, updated, patched)] == [1, 1, 2, 3]
    assert client.get("/todos/2").json() == patched.json()


def test_a_change_that_changes_nothing_keeps_the_version(client: TestClient) -> None:
    for body in ({}, {"complete": False}, {"task": "Buy milk", "complete": False}, {"task": " Buy milk "}):
        answer = client.patch("/todos/1", json=body)

        assert answer.status_code == 200
        assert answer.headers["etag"] == '"1"'
        assert answer.json()["version"] == 1


@pytest.mark.parametrize("if_match", ['"1"', "*", '"7", "1"', '"7" , "1","9"', 'W/"7", "1"'])
@pytest.mark.parametrize(("method", "body", "status"), CHANGES)
def test_a_change_of_the_present_version_is_made(
    client: TestClient, method: str, body: object, status: int, if_match: str
) -> None:
    answer = client.request(method, "/todos/1", json=body, headers={"if-match": if_match})

    assert answer.status_code == status


# A weak tag matches nothing here: RFC 9110, section 13.1.1, asks for the strong comparison.
@pytest.mark.parametrize("if_match", ['"2"', '"7", "9"', 'W/"1"', '""', '"*"'])
@pytest.mark.parametrize(("method", "body", "status"), CHANGES)
def test_a_change_of_another_version_is_refused_with_the_present_one(
    client: TestClient, method: str, body: object, status: int, if_match: str
) -> None:
    answer = client.request(method, "/todos/1", json=body, headers={"if-match": if_match})

    assert answer.status_code == 412
    assert answer.headers["etag"] == '"1"'
    assert answer.json()["current"] == client.get("/todos/1").json()
    assert client.get("/todos/1").json()["version"] == 1


def test_tags_in_several_header_lines_are_one_list(client: TestClient) -> None:
    headers = [("if-match", '"7"'), ("if-match", '"1"')]

    assert client.put("/todos/1", json={"complete": True}, headers=headers).status_code == 200


@pytest.mark.parametrize("tag", ["1", '"1', "'1'", '"1" "2"', '"1",', 'w/"1"', '*, "1"', ""])
def test_what_is_no_tag_is_refused(client: TestClient, tag: str) -> None:
    changed = client.put("/todos/1", json={"complete": True}, headers={"if-match": tag})
    got = client.get("/todos/1", headers={"if-none-match": tag})

    assert changed.status_code == got.status_code == 422
    assert changed.json()["errors"][0]["pointer"] == "If-Match"
    assert got.json()["errors"][0]["pointer"] == "If-None-Match"


@pytest.mark.parametrize("known", ['"1"', 'W/"1"', "*", '"7", "1"', '"7", W/"1"'])
def test_a_todo_that_the_client_has_is_not_sent_again(client: TestClient, known: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/todos/1", headers={"if-none-match": known})

        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == '"1"'
        assert "content-type" not in answer.headers


def test_a_todo_that_has_changed_is_sent(client: TestClient) -> None:
    client.put("/todos/1", json={"complete": True})

    answer = client.get("/todos/1", headers={"if-none-match": '"1"'})

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'


def test_a_todo_that_is_gone_is_not_found_whatever_the_tag(client: TestClient) -> None:
    client.delete("/todos/1")
    for method, body, _ in CHANGES:
        assert client.request(method, "/todos/1", json=body, headers={"if-match": '"1"'}).status_code == 404
    assert client.get("/todos/1", headers={"if-none-match": '"1"'}).status_code == 404


def test_a_bad_change_of_another_version_is_told_what_is_bad(client: TestClient) -> None:
    answer = client.put("/todos/1", json={"complete": "yes"}, headers={"if-match": '"7"'})

    assert answer.status_code == 422


@pytest.fixture
def strict_client(backend: Backend) -> Iterator[TestClient]:
    """A client of a server with TODO_REQUIRE_IF_MATCH=true."""
    with in_process(database_url=backend.migrated(), require_if_match=True) as client:
        client.post("/todos", json={"task": "Buy milk"})
        yield client


def test_a_server_may_ask_for_the_version_with_each_change(strict_client: TestClient) -> None:
    for method, body, status in CHANGES:
        refused = strict_client.request(method, "/todos/1", json=body)
        version = strict_client.get("/todos/1").headers["etag"]

        assert refused.status_code == 428
        assert refused.headers["content-type"] == "application/problem+json"
        assert strict_client.request(method, "/todos/1", json=body, headers={"if-match": version}).status_code == status


PRECONDITIONS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "a read of another version": ("GET", "/todos/1", {"if-match": '"9"'}, 412),
    "a head of another version": ("HEAD", "/todos/1", {"if-match": '"9"'}, 412),
    "a read of this version": ("GET", "/todos/1", {"if-match": '"1"'}, 200),
    "an update of what must not be": ("PUT", "/todos/1", {"if-none-match": "*"}, 412),
    "an update unless it is this version": ("PATCH", "/todos/1", {"if-none-match": '"1"'}, 412),
    "an update unless it is weakly this version": ("PATCH", "/todos/1", {"if-none-match": 'W/"1"'}, 412),
    "an update unless it is another version": ("PUT", "/todos/1", {"if-none-match": '"9"'}, 200),
    "a delete of what must not be": ("DELETE", "/todos/1", {"if-none-match": "*"}, 412),
    "a move of what must not be": ("POST", "/todos/1/move", {"if-none-match": '"1"'}, 412),
    "a create in a list of a tag": ("POST", "/todos", {"if-match": '"99"'}, 412),
    "a create in a list that is": ("POST", "/todos", {"if-match": "*"}, 201),
    "a create in a list that must not be": ("POST", "/todos", {"if-none-match": "*"}, 412),
    "many in a list of a tag": ("POST", "/todos/bulk", {"if-match": '"99"'}, 412),
    "a change of many in a list of a tag": ("PATCH", "/todos?ids=1", {"if-match": '"77"'}, 412),
    "a delete of many in a list of a tag": ("DELETE", "/todos?ids=1", {"if-match": '"77"'}, 412),
    "a delete of many in a list that is": ("DELETE", "/todos?ids=1", {"if-match": "*"}, 200),
    "a list of a tag": ("GET", "/todos", {"if-match": '"1"'}, 412),
    "a list unless it has a tag": ("GET", "/todos", {"if-none-match": '"1"'}, 200),
    "a malformed one with a create": ("POST", "/todos", {"if-match": "garbage"}, 422),
    "a malformed one with many": ("DELETE", "/todos?ids=1", {"if-none-match": "1"}, 422),
    "an invalid body first": ("PUT", "/todos/1", {"if-match": '"9"', "x": "invalid"}, 422),
}
BODIES: dict[str, object] = {"/todos": {"task": "y"}, "/todos/bulk": [{"task": "y"}], "/todos/1/move": {"to": "top"}}


@pytest.mark.parametrize(("method", "path", "headers", "status"), PRECONDITIONS.values(), ids=PRECONDITIONS.keys())
def test_every_precondition_is_evaluated_before_anything_is_done(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    before = client.get("/todos").json()
    body = BODIES.get(path, {"task": 5 if "x" in headers else "y"}) if method[0] == "P" else None
    answer = client.request(method, path, json=body, headers=headers)

    assert answer.status_code == status
    if status >= 400:
        assert client.get("/todos").json() == before


def test_where_if_match_is_asked_for_changes_of_many_need_it_too(database_url: str) -> None:
    with in_process(database_url=database_url, require_if_match=True) as client:
        assert client.post("/todos", json={"task": "x"}).status_code == 201
        for method in ("PATCH", "DELETE"):
            body = {"priority": 1} if method == "PATCH" else None
            refused = client.request(method, "/todos?ids=1", json=body)
            assert (refused.status_code, refused.json()["detail"]) == (428, "Send If-Match: *.")
            assert client.request(method, "/todos?ids=1", json=body, headers={"if-match": "*"}).status_code == 200
