"""Web pages of other origins."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process
from tests.databases import SQLite
from todo_api.http.bodies import MAX_BODY_SIZE
from todo_api.http.strict import MAX_HEAD_SIZE

PREFLIGHT = {
    "origin": "https://app.example",
    "access-control-request-method": "PATCH",
    "access-control-request-headers": "content-type, idempotency-key, if-match",
}


@pytest.fixture
def open_client(sqlite_backend: SQLite) -> Iterator[TestClient]:
    """A client of a server with TODO_CORS_ORIGINS=https://app.example."""
    with in_process(database_url=sqlite_backend.migrated(), cors_origins=["https://app.example"]) as client:
        yield client


def test_no_other_origin_may_call_unless_the_settings_name_it(client: TestClient) -> None:
    assert not [name for name in client.options("/todos/1", headers=PREFLIGHT).headers if name.startswith("access-")]
    assert not [name for name in client.get("/todos", headers=PREFLIGHT).headers if name.startswith("access-")]


def test_an_origin_of_the_settings_may_call_and_see_the_headers(open_client: TestClient) -> None:
    preflight = open_client.options("/todos/1", headers=PREFLIGHT)
    called = open_client.get("/todos", headers=PREFLIGHT)
    failed = open_client.get("/todos/7", headers=PREFLIGHT)

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert called.headers["access-control-allow-origin"] == "https://app.example"
    assert called.headers["access-control-expose-headers"] == (
        "ETag, Idempotency-Replayed, Link, Location, Retry-After, WWW-Authenticate, X-Dry-Run, X-Next-Cursor,"
        " X-Request-Id, X-Total-Count"
    )
    assert failed.headers["access-control-allow-origin"] == "https://app.example"


REFUSED = {
    "no such path": ("GET", "/nothing", {}, b"", 404),
    "a large body": ("POST", "/todos", {}, b" " * (MAX_BODY_SIZE + 1), 413),
    "an unknown transfer encoding": ("POST", "/todos", {"transfer-encoding": "cow"}, b"", 400),
    "a large head": ("GET", "/todos", {"x": "a" * MAX_HEAD_SIZE}, b"", 431),
}


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_a_web_page_of_the_settings_can_read_why_it_was_refused(
    open_client: TestClient, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = open_client.request(method, path, headers={"origin": "https://app.example", **headers}, content=body)

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["x-request-id"]


def test_no_web_page_can_read_that_this_server_is_of_another_name(open_client: TestClient) -> None:
    answer = open_client.get("/todos", headers={"origin": "https://app.example", "host": "evil.example"})

    assert answer.status_code == 421
    assert "access-control-allow-origin" not in answer.headers


def test_another_origin_may_not_call(open_client: TestClient) -> None:
    preflight = open_client.options("/todos/1", headers=PREFLIGHT | {"origin": "https://evil.example"})

    assert preflight.status_code == 400
    assert preflight.headers["content-type"] == "application/problem+json"
    assert "access-control-allow-origin" not in preflight.headers
    called = open_client.get("/todos", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in called.headers


def test_a_web_page_of_the_settings_can_ask_whether_it_may_send_a_token(sqlite_backend: SQLite) -> None:
    url, origins = sqlite_backend.migrated(), ["https://app.example"]
    asked = PREFLIGHT | {"access-control-request-headers": "authorization"}
    with in_process(database_url=url, cors_origins=origins, auth="token") as client:
        preflight = client.options("/todos/1", headers=asked)
        refused = client.get("/todos", headers=PREFLIGHT)
        called = client.get("/todos", headers=PREFLIGHT | as_owner(url, "alice"))

    assert preflight.status_code == 200
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert (refused.status_code, called.status_code) == (401, 200)
    for answer in (refused, called):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in answer.headers
