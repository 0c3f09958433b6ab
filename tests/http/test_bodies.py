"""Bodies as JSON's standards count them, and codings that are refused."""

import gzip
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(("written", "read"), [("1.0", 1), ("1e0", 1), ("10e-1", 1), ("-0.0", 0), ("0.9E1", 9)])
def test_a_number_without_a_fraction_is_an_integer_however_it_is_written(
    client: TestClient, written: str, read: int
) -> None:
    created = client.post("/todos", content=f'{{"task": "x", "priority": {written}}}', headers=JSON)

    assert (created.status_code, created.json()["priority"]) == (201, read)
    assert client.post("/todos", json={"task": "y"}).status_code == 201
    moved = client.post("/todos/1/move", content='{"after": 2.0}', headers=JSON)
    assert moved.status_code == 200


@pytest.mark.parametrize("written", ["1.5", "0.1", "1e-1", "1e999", "true", '"1"'])
def test_what_is_no_integer_is_refused(client: TestClient, written: str) -> None:
    refused = client.post("/todos", content=f'{{"task": "x", "priority": {written}}}', headers=JSON)

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/priority")


REPEATED: dict[str, tuple[str, str, str, list[str]]] = {
    "a member": ("POST", "/todos", '{"task": "a", "task": "b"}', ["/task"]),
    "the same value": ("POST", "/todos", '{"task": "a", "task": "a"}', ["/task"]),
    "an escaped name": ("POST", "/todos", '{"task": "a", "t\\u0061sk": "b"}', ["/task"]),
    "a wrong one first": ("POST", "/todos", '{"task": 5, "task": "good"}', ["/task"]),
    "a name with a slash": ("POST", "/todos", '{"a/b~": 1, "a/b~": 2}', ["/a~1b~0"]),
    "two members": (
        "PATCH",
        "/todos/1",
        '{"task": "a", "complete": true, "task": "b", "complete": false}',
        ["/task", "/complete"],
    ),
    "in bulk": ("POST", "/todos/bulk", '[{"task": "a"}, {"task": "a", "task": "b"}]', ["/1/task"]),
    "in a move": ("POST", "/todos/1/move", '{"to": "top", "to": "bottom"}', ["/to"]),
    "deeper": ("POST", "/todos", '{"task": "a", "x": [{"y": {"z": 1, "z": 2}}]}', ["/x/0/y/z"]),
}


@pytest.mark.parametrize(("method", "path", "body", "pointers"), REPEATED.values(), ids=REPEATED.keys())
def test_a_member_that_is_given_twice_is_refused(
    client: TestClient, method: str, path: str, body: str, pointers: list[str]
) -> None:
    client.post("/todos", json={"task": "x"})
    refused = client.request(method, path, content=body, headers=JSON)

    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [
        (pointer, "repeated_member") for pointer in pointers
    ]
    assert client.get("/todos?count=true").headers["x-total-count"] == "1"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_body_in_another_encoding_is_no_json(client: TestClient, coding: str) -> None:
    refused = client.post(
        "/todos", content=json.dumps({"task": "Käse"}, ensure_ascii=False).encode(coding), headers=JSON
    )

    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed")


def test_a_byte_order_mark_of_utf_8_is_left_out(client: TestClient) -> None:
    created = client.post("/todos", content=b"\xef\xbb\xbf" + b'{"task": "x"}', headers=JSON)

    assert created.json()["task"] == "x"


UNREAD: dict[str, tuple[Any, int, str]] = {
    "gzip": ({"content-encoding": "gzip"}, 415, "/problems/unsupported-content-coding"),
    "brotli": ({"content-encoding": "br"}, 415, "/problems/unsupported-content-coding"),
    "two codings": ({"content-encoding": "identity, gzip"}, 415, "/problems/unsupported-content-coding"),
    "another charset": (
        {"content-type": "application/json; charset=iso-8859-1"},
        415,
        "/problems/unsupported-media-type",
    ),
    "a charset in capitals": (
        {"content-type": 'application/json; Charset="UTF-16"'},
        415,
        "/problems/unsupported-media-type",
    ),
}


@pytest.mark.parametrize(("headers", "status", "kind"), UNREAD.values(), ids=UNREAD.keys())
def test_a_coding_that_is_not_read_is_refused(client: TestClient, headers: Any, status: int, kind: str) -> None:
    body = b'{"task": "x"}'
    if headers.get("content-encoding") == "gzip":
        body = gzip.compress(body)
    refused = client.post("/todos", content=body, headers=JSON | headers)

    assert (refused.status_code, refused.json()["type"]) == (415, kind)
    if "content-encoding" in headers:
        assert refused.headers["accept-encoding"] == "identity"
    assert client.get("/todos").json() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": 'Application/JSON; charset="UTF-8"'},
        {"content-type": "application/json", "content-encoding": "identity"},
    ],
)
def test_the_usual_coding_is_read_however_it_is_said(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/todos", content='{"task": "Käse"}'.encode(), headers=headers).json()["task"] == "Käse"


def test_two_content_types_are_one_too_many(client: TestClient) -> None:
    fields = [("content-type", "application/json"), ("content-type", "text/plain")]
    refused = client.post("/todos", content=b'{"task": "x"}', headers=fields)

    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed")


def test_a_member_of_a_sort_is_named_once_and_may_have_blanks_around_it(client: TestClient) -> None:
    refused = client.get("/todos?sort=priority,-priority")

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "sort")
    assert client.get("/todos", params={"sort": "due, -created_at"}).status_code == 200
