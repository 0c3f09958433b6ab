"""Whatever a client sends is answered with what is wrong with it, and changes nothing."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from todo_api.http.bodies import MAX_BODY_SIZE

JSON = {"content-type": "application/json"}
WITH_BODY = [("POST", "/todos"), ("PUT", "/todos/1"), ("PATCH", "/todos/1")]
ALL = [*WITH_BODY, ("GET", "/todos"), ("GET", "/todos/1"), ("DELETE", "/todos/1")]


@pytest.fixture(autouse=True)
def nothing_is_changed(client: TestClient) -> Iterator[None]:
    client.post("/todos", json={"task": "Buy milk"})
    before = client.get("/todos").text
    yield
    assert client.get("/todos").text == before


@pytest.mark.parametrize(
    "todo_id", ["0", "-1", str(2**53), str(2**63), "1" + "0" * 30, "9" * 5000, "abc", "1.5", "%00", "1e3"]
)
def test_an_id_that_no_todo_can_have_is_refused(client: TestClient, todo_id: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = client.request(method, f"/todos/{todo_id}", json={} if method.startswith("P") else None)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "todo_id"


@pytest.mark.parametrize("limit", ["0", "-1", "501", "abc", "", "1e2", "9" * 5000])
def test_a_limit_out_of_its_range_is_refused(client: TestClient, limit: str) -> None:
    answer = client.get("/todos", params={"limit": limit})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "limit"


BAD_MEMBERS = {
    "an empty task": ("/task", '{"task": ""}'),
    "a blank task": ("/task", '{"task": " \u00a0 "}'),
    "a long task": ("/task", f'{{"task": "{"x" * 501}"}}'),
    "a task of two lines": ("/task", r'{"task": "a\nb"}'),
    "a carriage return": ("/task", r'{"task": "a\rb"}'),
    "a tab within": ("/task", r'{"task": "a\tb"}'),
    "NUL": ("/task", r'{"task": "a\u0000b"}'),
    "an escape": ("/task", r'{"task": "a\u001b[31mb"}'),
    "a C1 control": ("/task", r'{"task": "a\u0085b"}'),
    "a line separator": ("/task", r'{"task": "a\u2028b"}'),
    "a lone surrogate": ("/task", r'{"task": "\ud800"}'),
    "a number": ("/task", '{"task": 5}'),
    "a null task": ("/task", '{"task": null}'),
    "a list": ("/task", '{"task": ["x"]}'),
    "not a number": ("/task", '{"task": NaN}'),
    "yes": ("/complete", '{"task": "x", "complete": "yes"}'),
    "true as text": ("/complete", '{"task": "x", "complete": "true"}'),
    "zero": ("/complete", '{"task": "x", "complete": 0}'),
    "NaN": ("/complete", '{"task": "x", "complete": NaN}'),
    "infinity": ("/complete", '{"task": "x", "complete": 1e999}'),
    "complete as null": ("/complete", '{"task": "x", "complete": null}'),
    "an id": ("/id", '{"task": "x", "id": 7}'),
    "an unknown member": ("/colour", '{"task": "x", "colour": "red"}'),
    "the signs of JSON Pointer": ("/a~1b~0c", '{"task": "x", "a/b~c": 1}'),
    "an array": ("", '[{"task": "x"}]'),
    "a string": ("", '"task"'),
    "a bare number": ("", "5"),
    "null": ("", "null"),
    "an empty body": ("", ""),
    "a lone surrogate in notes": ("/notes", r'{"task": "x", "notes": "\ud800"}'),
    "a surrogate as a name": ("", r'{"task": "x", "\ud800": 1}'),
}


@pytest.mark.parametrize(("pointer", "body"), BAD_MEMBERS.values(), ids=BAD_MEMBERS.keys())
def test_a_bad_member_is_refused_by_its_name(client: TestClient, pointer: str, body: str) -> None:
    for method, path in WITH_BODY:
        answer = client.request(method, path, content=body, headers=JSON)

        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert "should" not in answer.json()["detail"]  # Pydantic's words, beside which ours would read as another's


def test_a_task_is_required(client: TestClient) -> None:
    answer = client.post("/todos", json={})

    assert answer.status_code == 422
    assert answer.json() == {
        "type": "/problems/validation",
        "title": "Validation failed",
        "status": 422,
        "detail": "/task: is required",
        "errors": [{"pointer": "/task", "detail": "is required", "code": "missing"}],
    }


def test_every_bad_member_is_named(client: TestClient) -> None:
    answer = client.post("/todos", json={"task": 5, "complete": "yes", "colour": "red"})

    assert {error["pointer"] for error in answer.json()["errors"]} == {"/task", "/complete", "/colour"}


def test_of_many_bad_members_a_hundred_are_named_and_all_are_counted(client: TestClient) -> None:
    answer = client.post("/todos/bulk", json=[{"task": "x", "colour": "red"}] * 500)

    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{number}/colour" for number in range(100)]
    assert answer.json()["detail"].startswith("/0/colour: is not a member of the request; the known ones are task, ")
    assert answer.json()["detail"].endswith(" (and 499 more)")


MALFORMED = {
    "invalid JSON": b'{"task": "x"',
    "two documents": b'{"task": "x"} {}',
    "invalid UTF-8": b'{"task": "\xff"}',
    "deep nesting": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000,
    "a number of 5,000 digits": b'{"task": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_json_is_malformed(client: TestClient, body: bytes) -> None:
    for method, path in WITH_BODY:
        answer = client.request(method, path, content=body, headers=JSON)

        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/malformed"


def test_a_number_that_is_too_long_is_told_so(client: TestClient) -> None:
    answer = client.post("/todos", content=MALFORMED["a number of 5,000 digits"], headers=JSON)

    assert "a number of too many digits" in answer.json()["detail"]


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "*/*", ""]
)
def test_a_body_of_another_media_type_is_not_read(client: TestClient, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    for method, path in WITH_BODY:
        answer = client.request(method, path, content=b'{"task": "x"}', headers=headers)

        assert answer.status_code == 415
        assert answer.json()["type"] == "/problems/unsupported-media-type"
        accepted = "application/json, application/merge-patch+json" if method == "PATCH" else "application/json"
        assert answer.headers["accept-patch" if method == "PATCH" else "accept"] == accepted


def test_a_charset_beside_the_media_type_does_no_harm(client: TestClient) -> None:
    answer = client.put("/todos/1", content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"})

    assert answer.status_code == 200


def test_a_body_over_the_limit_is_refused_when_its_length_is_declared(client: TestClient) -> None:
    answer = client.post("/todos", content=b'{"task": "x"}'.ljust(MAX_BODY_SIZE + 1), headers=JSON)

    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


def test_a_body_over_the_limit_is_refused_when_it_comes_in_chunks(client: TestClient) -> None:
    chunks = iter([b'{"task": "x"}'.ljust(1024)] + [b" " * 1024] * (MAX_BODY_SIZE // 1024))
    answer = client.post("/todos", content=chunks, headers=JSON)

    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


def test_a_body_of_just_the_limit_is_read(client: TestClient) -> None:
    body = b'{"complete": false}'.ljust(MAX_BODY_SIZE)

    assert client.put("/todos/1", content=body, headers=JSON).status_code == 200
    assert client.put("/todos/1", content=iter([body[:30], body[30:]]), headers=JSON).status_code == 200


ELSEWHERE = [
    ("GET", "/livez"),
    ("GET", "/docs"),
    ("GET", "/docs/swagger-ui.css"),
    ("POST", "/nothing"),
    ("OPTIONS", "/todos/1"),
    ("HEAD", "/livez"),
]
"""Requests whose body no endpoint reads."""


@pytest.mark.parametrize(("method", "path"), ELSEWHERE)
def test_a_body_over_the_limit_is_refused_where_no_endpoint_reads_it(
    client: TestClient, method: str, path: str
) -> None:
    assert client.request(method, path, content=b" " * (MAX_BODY_SIZE + 1)).status_code == 413
    assert client.request(method, path, content=b" " * MAX_BODY_SIZE).status_code != 413


def test_the_limit_of_a_path_is_the_same_for_each_of_its_methods(client: TestClient) -> None:
    body = b" " * (MAX_BODY_SIZE + 1)

    assert client.put("/todos/bulk", content=body, headers=JSON).status_code == 405
    assert client.put("/todos/1", content=body, headers=JSON).status_code == 413


@pytest.mark.parametrize(("method", "path"), [*ALL, *ELSEWHERE])
def test_a_body_of_an_unknown_transfer_encoding_is_refused(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, headers=JSON | {"transfer-encoding": "gzip, chunked"})

    assert answer.status_code == 400
    if method != "HEAD":
        assert answer.json()["detail"] == "The only Transfer-Encoding is chunked."


def test_the_name_of_a_transfer_encoding_may_be_in_capitals(client: TestClient) -> None:
    answer = client.put("/todos/1", content=iter([b"{}"]), headers=JSON | {"transfer-encoding": "Chunked"})

    assert answer.status_code == 200


def test_an_unknown_query_parameter_is_refused_by_its_name(client: TestClient) -> None:
    for method, path in ALL:
        answer = client.request(method, f"{path}?colour=red", json={"task": "x"} if method.startswith("P") else None)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "colour"


def test_a_misspelt_query_parameter_is_told_the_right_name(client: TestClient) -> None:
    answer = client.get("/todos?limti=5")

    assert answer.json()["errors"][0]["detail"] == "is not a parameter of this operation; did you mean 'limit'?"


def test_an_unknown_path_is_not_found(client: TestClient) -> None:
    for path in ("/nothing", "/todos/1/2", "/todos/", "/todos//1", "/docs/../secret"):
        answer = client.get(path)

        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/todos"), ("POST", "/todos/1"), ("TRACE", "/todos"), ("BREW", "/todos")],
)
def test_a_method_that_a_path_does_not_have_is_refused(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"]
