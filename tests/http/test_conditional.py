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
