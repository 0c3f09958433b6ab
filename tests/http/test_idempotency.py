"""A request with an Idempotency-Key that has succeeded is answered again, and not done again."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import asyncpg
import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, command, in_process
from todo_api.features import purge

OF_ONE_MOMENT = {"x-request-id", "idempotency-replayed"}
"""The fields in which the first answer and a replay of it differ."""


def keyed(key: str, **further: str) -> dict[str, str]:
    return {"idempotency-key": key, **further}


def seen(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """What of an answer must be the same each time."""
    fields = {name: value for name, value in answer.headers.items() if name not in OF_ONE_MOMENT}
    return answer.status_code, answer.content, fields


def is_replay(answer: httpx.Response) -> bool:
    assert answer.headers.get("idempotency-replayed", "true") == "true"
    return "idempotency-replayed" in answer.headers


@pytest.fixture(autouse=True)
def three_todos(client: TestClient) -> None:
    client.post("/todos/bulk", json=[{"task": f"task {number}"} for number in range(3)])


REPEATED: dict[str, tuple[str, str, Any, Mapping[str, str], int]] = {
    "a create": ("POST", "/todos", {"task": "new"}, {}, 201),
    "a bulk create": ("POST", "/todos/bulk", [{"task": f"new {number}"} for number in range(500)], {}, 201),
    "a put": ("PUT", "/todos/1", {"task": "changed"}, {}, 200),
    "a put that changes nothing": ("PUT", "/todos/1", {}, {}, 200),
    "a patch of a version": ("PATCH", "/todos/1", {"complete": True}, {"if-match": '"1"'}, 200),
    "a move": ("POST", "/todos/3/move", {"to": "top"}, {}, 200),
    "a delete": ("DELETE", "/todos/1", None, {}, 204),
    "a delete of a version": ("DELETE", "/todos/1", None, {"if-match": '"1"'}, 204),
    "a patch of many": ("PATCH", "/todos?complete=false", {"complete": True}, {}, 200),
    "a delete of many": ("DELETE", "/todos?ids=1&ids=2&max_affected=2", None, {}, 200),
    "a create of a list": ("POST", "/lists", {"name": "Groceries"}, {}, 201),
}


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REPEATED.values(), ids=REPEATED.keys())
def test_a_request_that_is_sent_again_gets_the_same_answer_and_changes_nothing(
    client: TestClient, method: str, path: str, body: Any, headers: Mapping[str, str], status: int
) -> None:
    first = client.request(method, path, json=body, headers=keyed("abc", **headers))
    after = client.get("/todos?limit=500&count=true")
    again = [client.request(method, path, json=body, headers=keyed("abc", **headers)) for _ in range(2)]

    assert first.status_code == status
    assert not is_replay(first)
    assert [is_replay(each) for each in again] == [True, True]
    assert [seen(each) for each in again] == [seen(first)] * 2
    assert seen(client.get("/todos?limit=500&count=true")) == seen(after)


def test_every_operation_that_changes_something_takes_a_key(client: TestClient) -> None:
    """Each is sent with a key that is none, which the route refuses before anything else of it is looked at."""
    document = client.get("/openapi.json").json()
    refused = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = {each["name"] for each in operation.get("parameters", ())}
            success = operation["responses"][min(operation["responses"])]
            assert ("Idempotency-Key" in names) is (method != "get"), (method, path)
            assert ("Idempotency-Replayed" in success.get("headers", ())) is (method != "get"), (method, path)
            answer = client.request(method, path.replace("{todo_id}", "1").replace("{list_id}", "1"), headers=keyed(""))
            is_refused = answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "Idempotency-Key"
            assert is_refused is (method != "get"), (method, path)
            refused += is_refused
    assert refused >= 10


def test_the_answer_is_the_first_one_whatever_has_become_of_the_todo(client: TestClient) -> None:
    created = client.post("/todos", json={"task": "new"}, headers=keyed("create"))
    patched = client.patch("/todos/4", json={"complete": True}, headers=keyed("patch"))
    client.put("/todos/4", json={"task": "changed"})
    for _ in range(2):
        assert seen(client.post("/todos", json={"task": "new"}, headers=keyed("create"))) == seen(created)
        assert seen(client.patch("/todos/4", json={"complete": True}, headers=keyed("patch"))) == seen(patched)
        client.delete("/todos/4")

    assert created.headers["location"].endswith("/todos/4")
    assert patched.headers["etag"] == '"2"'
    assert client.get("/todos/4").status_code == 404
    assert len(client.get("/todos").json()) == 3


CREATE = ("POST", "/todos", b'{"task": "new"}')
OTHERS = {
    "body": ("POST", "/todos", b'{"task": "newer"}'),
    "bytes of the same body": ("POST", "/todos", b'{"task":"new"}'),
    "query": ("POST", "/todos?dry_run=false", b'{"task": "new"}'),
    "path": ("POST", "/lists", b'{"task": "new"}'),
    "method": ("PATCH", "/todos", b'{"task": "new"}'),
    "method without a body": ("DELETE", "/todos?ids=1", b""),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_a_key_of_another_request_is_refused(client: TestClient, other: tuple[str, str, bytes]) -> None:
    method, path, content = CREATE
    headers = keyed("abc", **{"content-type": "application/json"})
    first = client.request(method, path, content=content, headers=headers)
    before = client.get("/todos").content
    method, path, content = other
    refused = client.request(method, path, content=content, headers=headers)

    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/idempotency-key-reused"
    assert client.get("/problems/idempotency-key-reused").status_code == 200
    assert client.get("/todos").content == before
    assert is_replay(client.request(*CREATE[:2], content=CREATE[2], headers=headers))
    assert first.status_code == 201


MALFORMED: dict[str, list[bytes]] = {
    "empty": [b""],
    "empty in quotes": [b'""'],
    "too long": [b"k" * 256],
    "too long in quotes": [b'"' + b"k" * 256 + b'"'],
    "twice": [b"abc", b"abc"],
    "two in a line": [b"abc, def"],
    "a space": [b"a c"],
    "a tab": [b'"a\tc"'],
    "not ASCII": ["é".encode()],
    "a control character": [b"a\x7f"],
    "a quote that is not closed": [b'"abc'],
    "a quote that is not opened": [b'abc"'],
    "a quote inside": [b'"a"c"'],
    "an escaped quote": [rb'"a\"c"'],
    "a parameter": [b'"abc";a=1'],
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_key_is_refused(client: TestClient, values: list[bytes]) -> None:
    headers = [(b"idempotency-key", value) for value in values]
    for path in ("/todos", "/todos?dry_run=true"):
        refused = client.post(path, json={"task": "new"}, headers=headers)

        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == ["Idempotency-Key"]
    assert len(client.get("/todos").json()) == 3
    assert client.get("/todos/1", headers=headers).status_code == 200
    assert client.head("/todos/1", headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["k", "k" * 255, "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
def test_a_key_is_the_same_with_quotes_and_without(client: TestClient, key: str) -> None:
    bare = client.post("/todos", json={"task": "new"}, headers=keyed(key))
    quoted = client.post("/todos", json={"task": "new"}, headers=keyed(f'"{key}"'))
    other = client.post("/todos", json={"task": "new"}, headers=keyed(f"{key[:-1]}_"))

    assert (bare.status_code, other.status_code) == (201, 201)
    assert is_replay(quoted)
    assert seen(quoted) == seen(bare)
    assert bare.json()["id"] != other.json()["id"]


REFUSED: dict[str, tuple[str, str, Any, Mapping[str, str], int]] = {
    "an unknown member": ("POST", "/todos", {"task": "new", "x": 1}, {}, 422),
    "no todo": ("PUT", "/todos/9", {"complete": True}, {}, 404),
    "another version": ("PATCH", "/todos/1", {"complete": True}, {"if-match": '"7"'}, 412),
    "too many": ("DELETE", "/todos?complete=false&max_affected=1", None, {}, 409),
    "an unknown parameter": ("POST", "/todos?x=1", {"task": "new"}, {}, 422),
}


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_was_refused_uses_up_no_key(
    client: TestClient, method: str, path: str, body: Any, headers: Mapping[str, str], status: int
) -> None:
    for _ in range(2):
        refused = client.request(method, path, json=body, headers=keyed("abc", **headers))

        assert refused.status_code == status
        assert not is_replay(refused)
    done = client.post("/todos", json={"task": "new"}, headers=keyed("abc"))
    assert done.status_code == 201
    assert not is_replay(done)


def test_what_was_tried_uses_up_no_key_and_replays_none(client: TestClient) -> None:
    for _ in range(2):
        tried = client.delete("/todos/1?dry_run=true", headers=keyed("abc"))

        assert (tried.status_code, is_replay(tried)) == (204, False)
    assert client.delete("/todos/1", headers=keyed("abc")).status_code == 204
    tried = client.post("/todos?dry_run=true", json={"task": "new"}, headers=keyed("abc"))
    assert (tried.status_code, is_replay(tried)) == (201, False)
    assert tried.headers["x-dry-run"] == "true"
    assert len(client.get("/todos").json()) == 2


def test_reads_take_no_notice_of_a_key(client: TestClient) -> None:
    client.put("/todos/1", json={"task": "changed"}, headers=keyed("abc"))
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = client.request(method, "/todos/1", headers=keyed("abc"))

        assert answer.status_code in (200, 204)
        assert not is_replay(answer)


def test_a_key_of_another_owner_is_a_key_of_its_own(database_url: str) -> None:
    owners = {name: as_owner(database_url, name) for name in ("alice", "bob")}
    with in_process(database_url=database_url, auth="token") as client:
        made = {
            name: client.post("/todos", json={"task": f"{name}'s"}, headers=keyed("abc") | caller)
            for name, caller in owners.items()
        }
        again = {
            name: client.post("/todos", json={"task": f"{name}'s"}, headers=keyed("abc") | caller)
            for name, caller in owners.items()
        }

        assert {name: answer.status_code for name, answer in made.items()} == {"alice": 201, "bob": 201}
        assert not any(is_replay(answer) for answer in made.values())
        assert {name: seen(answer) for name, answer in again.items()} == {
            name: seen(answer) for name, answer in made.items()
        }
        assert [todo["task"] for todo in client.get("/todos", headers=owners["bob"]).json()] == ["bob's"]


def test_whoever_receives_the_todos_of_an_owner_has_its_keys_too_and_their_own_count(database_url: str) -> None:
    owners = {name: as_owner(database_url, name) for name in ("alice", "bob")}
    with in_process(database_url=database_url, auth="token") as client:

        def create(owner: str, key: str, task: str) -> httpx.Response:
            return client.post("/todos", json={"task": task}, headers=keyed(key) | owners[owner])

        hers, his = create("alice", "both", "alice's"), create("bob", "both", "bob's")
        his_alone = create("bob", "one", "bob's other")
        printed = command(database_url, "owner", "rename", "bob", "alice", "--merge")

        assert (
            printed
            == "alice has what was bob's: 0 deleted_todos, 2 todo_items, 0 todo_lists, 1 access_tokens, 1 kept_answers"
        )
        assert seen(create("alice", "both", "alice's")) == seen(hers)
        assert create("alice", "both", "bob's").json()["type"] == "/problems/idempotency-key-reused"
        for owner in ("alice", "bob"):  # his token acts for her now
            assert seen(create(owner, "one", "bob's other")) == seen(his_alone)
        assert his.status_code == 201
        assert len(client.get("/todos", headers=owners["alice"]).json()) == 3


def test_an_owner_with_keys_and_without_todos_can_be_renamed_and_keeps_them(database_url: str) -> None:
    with in_process(database_url=database_url) as client:
        client.delete("/todos?complete=false", headers=keyed("gone"))
        command(database_url, "owner", "rename", "local", "alice")
        again = client.delete("/todos?complete=false", headers=keyed("gone"))
        alices = as_owner(database_url, "alice")
        assert (again.json(), is_replay(again)) == ({"matched": 0, "changed": 0}, False)
    with in_process(database_url=database_url, auth="token") as client:
        hers = client.delete("/todos?complete=false", headers=keyed("gone") | alices)
        assert (hers.json(), is_replay(hers)) == ({"matched": 3, "changed": 3}, True)


def execute(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement on the database itself."""

    async def on_postgresql() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    if not database_url.startswith("sqlite"):
        return asyncio.run(on_postgresql())
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def test_a_key_that_has_expired_is_a_new_one(database_url: str) -> None:
    with in_process(database_url=database_url) as client:
        client.post("/todos", json={"task": "old"}, headers=keyed("abc"))
        execute(database_url, "UPDATE kept_answers SET expires_at = 1")
        again = client.post("/todos", json={"task": "new"}, headers=keyed("abc"))
        replayed = client.post("/todos", json={"task": "new"}, headers=keyed("abc"))

    assert (again.status_code, is_replay(again)) == (201, False)
    assert seen(replayed) == seen(again)
    assert is_replay(replayed)


def test_an_answer_is_kept_for_as_long_as_the_settings_say(database_url: str) -> None:
    for hours in (1, 8760):
        with in_process(database_url=database_url, idempotency_hours=hours) as client:
            client.post("/todos", json={"task": "new"}, headers=keyed(str(hours)))
    (shortest, longest) = (each[0] for each in execute(database_url, "SELECT expires_at FROM kept_answers ORDER BY id"))

    assert longest - shortest == pytest.approx(8759 * 3600, abs=60)


def test_what_has_expired_is_deleted_in_small_steps(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_process(database_url=database_url) as client:
        for number in range(450):
            client.put("/todos/1", json={}, headers=keyed(str(number)))
    execute(database_url, "UPDATE kept_answers SET expires_at = 1 WHERE key <> '0'")
    monkeypatch.setattr(purge, "DELAY", 0.0)
    with in_process(database_url=database_url) as client:
        while execute(database_url, "SELECT count(*) FROM kept_answers") != [(1,)]:
            assert client.get("/livez").status_code == 200
        assert is_replay(client.put("/todos/1", json={}, headers=keyed("0")))


def test_a_large_answer_is_kept_compressed(database_url: str) -> None:
    todos = [{"task": f"task {number}", "notes": "much to write " * 40} for number in range(500)]
    with in_process(database_url=database_url) as client:
        first = client.post("/todos/bulk", json=todos, headers=keyed("many"))
        again = client.post("/todos/bulk", json=todos, headers=keyed("many"))
        ((size,),) = execute(database_url, "SELECT length(body) FROM kept_answers")

    assert seen(again) == seen(first)
    assert is_replay(again)
    assert size < len(first.content) / 4
