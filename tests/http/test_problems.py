"""Every error is a problem document that says what is wrong and what to do."""

import json
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from todo_api.http.problem import Problem, ProblemDocument

DOCUMENT = TypeAdapter(ProblemDocument)

ERRORS = {
    "an unknown path": ("GET", "/nothing", {}, None, 404),
    "an unknown todo": ("GET", "/todos/7", {}, None, 404),
    "an unknown page of a problem": ("GET", "/problems/nothing", {}, None, 404),
    "a file that is not there": ("GET", "/docs/nothing.js", {}, None, 404),
    "another method": ("PUT", "/todos", {}, None, 405),
    "another method of a file": ("POST", "/docs/swagger-ui.css", {}, None, 405),
    "no JSON": ("POST", "/todos", {"content-type": "application/json"}, b"{", 400),
    "another version": ("PUT", "/todos/1", {"content-type": "application/json", "if-match": '"9"'}, b"{}", 412),
    "too much": ("POST", "/todos", {"content-type": "application/json"}, b" " * 300_000, 413),
    "another media type": ("POST", "/todos", {"content-type": "text/plain"}, b"x", 415),
    "a bad member": ("POST", "/todos", {"content-type": "application/json"}, b"{}", 422),
    "a bad parameter": ("GET", "/todos?limit=0", {}, None, 422),
}


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_a_problem_of_one_shape(
    client: TestClient, method: str, path: str, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    client.post("/todos", json={"task": "Buy milk"})

    answer = client.request(method, path, headers=headers, content=body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    problem = DOCUMENT.validate_python(answer.json(), strict=True)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    if problem["type"] != "about:blank":
        page = client.get(problem["type"])
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/plain")
        assert page.text.startswith(f"{status} {problem['title']}")


def test_every_type_of_problem_has_a_page(client: TestClient) -> None:
    for kind in Problem.__subclasses__():
        assert client.get(kind.type).text.startswith(f"{kind.status} {kind.title}\n\n")


def test_what_the_client_sent_is_not_echoed(client: TestClient) -> None:
    sent = "hunter2"
    answers = [
        client.post("/todos", json={"task": [sent], "complete": sent}),
        client.post("/todos", content=f'{{"task": {sent}'.encode(), headers={"content-type": "application/json"}),
        client.get(f"/todos/{sent}"),
        client.get("/todos", params={"limit": sent, "cursor": sent, "complete": sent}),
        client.get("/todos/1", headers={"if-none-match": sent}),
        client.get(f"/{sent}"),
    ]

    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert sent not in answer.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/todos", "GET, POST, PATCH, DELETE, HEAD, OPTIONS"),
        ("/todos/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/todos/bulk", "POST, OPTIONS"),
        ("/todos/1/move", "POST, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/docs/swagger-ui.css", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_refused_method_is_told_every_method_of_the_path(client: TestClient, path: str, allowed: str) -> None:
    refused = client.request("TRACE", path)
    options = client.options(path)

    assert refused.status_code == 405
    assert refused.headers["allow"] == allowed
    assert options.status_code == 204
    assert options.headers["allow"] == allowed
    assert options.headers.get("accept-patch") == (
        "application/json, application/merge-patch+json" if "PATCH" in allowed else None
    )


def test_a_slash_too_many_is_told_the_right_path(client: TestClient) -> None:
    for path in ("/todos/", "/todos/1/"):
        answer = client.get(path, follow_redirects=False)

        assert answer.status_code == 404
        assert answer.json()["detail"] == f"There is nothing here; did you mean {path.rstrip('/')}?"
    assert client.options("/nothing").status_code == 404


def test_a_fault_of_the_server_says_nothing_of_its_inside(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    app = client.app
    assert isinstance(app, FastAPI)

    @app.get("/fault")
    async def fail() -> None:
        raise RuntimeError("hunter2")

    with caplog.at_level(logging.ERROR):
        answer = client.get("/fault", headers={"x-request-id": "my-request"})

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/internal"
    assert "hunter2" not in answer.text
    (record,) = caplog.records
    assert "my-request" in record.getMessage()
    assert record.exc_text is not None
    assert "hunter2" in record.exc_text


def test_an_answer_has_the_id_of_its_request(client: TestClient) -> None:
    assert client.get("/todos", headers={"x-request-id": "a.B-9_"}).headers["x-request-id"] == "a.B-9_"
    for bad in ("", "a b", "a\tb", "x" * 129, "<script>"):
        given = client.get("/todos", headers={"x-request-id": bad}).headers["x-request-id"]

        assert given != bad
        assert len(given) == 32
    assert len({client.get("/todos").headers["x-request-id"] for _ in range(10)}) == 10


def test_a_problem_is_ascii_whatever_the_client_wrote(client: TestClient) -> None:
    answer = client.post(
        "/todos", content='{"task": "x", "größe": 1}'.encode(), headers={"content-type": "application/json"}
    )

    assert answer.content.isascii()
    assert json.loads(answer.content)["errors"][0]["pointer"] == "/größe"


def test_a_parameter_without_a_name_is_one_of_the_query(client: TestClient) -> None:
    assert client.get("/todos?=1").json()["detail"].startswith("query: is not a parameter of this operation")
