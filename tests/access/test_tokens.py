"""`TODO_AUTH=token`: whoever has a token is served, as the owner of the token and as far as the token goes."""

import base64
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from tests.applications import as_owner, bearer, command, in_process
from tests.databases import SQLite
from tests.servers import run, serving
from todo_api.access.tokens import digest
from todo_api.http.headers import OPEN_PATHS

ANY_TOKEN = "todo_" + "x" * 43
PLAIN = 'Bearer realm="todo"'
INVALID = 'Bearer realm="todo", error="invalid_token"'


@pytest.fixture
def guarded(database_url: str) -> Iterator[TestClient]:
    """A client of a server with TODO_AUTH=token, which sends no token of itself."""
    with in_process(database_url=database_url, auth="token") as client:
        yield client


def test_a_token_acts_for_its_owner_until_it_is_revoked(guarded: TestClient, database_url: str) -> None:
    alice, again = as_owner(database_url, "alice", "--name", "laptop"), as_owner(database_url, "alice")
    bob = as_owner(database_url, "bob")

    assert guarded.post("/todos", json={"task": "Buy milk"}, headers=alice).status_code == 201
    assert [todo["task"] for todo in guarded.get("/todos", headers=again).json()] == ["Buy milk"]
    assert guarded.get("/todos", headers=bob).json() == []
    assert command(database_url, "token", "revoke", "1") == "revoked token 1 of alice"
    assert guarded.get("/todos", headers=alice).status_code == 401
    assert guarded.get("/todos", headers=again).status_code == 200


def test_a_token_is_shown_once_and_kept_as_its_digest(sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    token = command(url, "token", "create", "alice", "--name", "my laptop", "--days", "30")
    listed = command(url, "token", "list")

    assert re.fullmatch(r"todo_[A-Za-z0-9_-]{43}", token)
    assert command(url, "token", "create", "alice") != token
    assert re.fullmatch(r"1   alice  read, write  20\d\d-\d\d-\d\d \d\d:\d\d UTC  my laptop", listed.splitlines()[1])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        stored = connection.execute("SELECT * FROM access_tokens WHERE id = 1").fetchone()
    assert digest(token) in stored
    for kept in (listed, str(stored)):
        assert token not in kept
        assert token.removeprefix("todo_") not in kept
    assert digest(token) not in listed


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "create", "*"),
        ("token", "create", ""),
        ("token", "create", "a b"),
        ("token", "create", "a" * 65),
        ("token", "create", "alice", "--days", "0"),
        ("token", "create", "alice", "--days", "3651"),
        ("token", "create", "alice", "--days", "²"),
        ("token", "create", "alice", "--name", "two\nlines"),
        ("token", "create", "alice", "--name", "x" * 81),
        ("token", "revoke", "7"),
        ("token", "revoke", "all"),
        ("token",),
        ("owner", "rename", "nobody", "alice"),
        ("owner", "rename", "alice", "*"),
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_refused(
    sqlite_backend: SQLite, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_backend.migrated()

    with pytest.raises(SystemExit) as refused:
        command(url, *arguments)

    assert refused.value.code == 2 or str(refused.value).startswith("todo_api: ")
    assert "Traceback" not in capsys.readouterr().err
    assert len(command(url, "token", "list").splitlines()) == 1


def test_a_command_says_in_a_line_that_the_database_is_busy(
    sqlite_backend: SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite_backend.migrated()
    monkeypatch.setenv("TODO_DATABASE_TIMEOUT", "0.1")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(SystemExit, match="todo_api: database is locked"):
            command(url, "token", "create", "alice")


def test_the_todos_of_this_machine_get_an_owner(database_url: str) -> None:
    with in_process(database_url=database_url) as client:
        client.post("/todos", json={"task": "Buy milk"})
        client.post("/todos", json={"task": "Buy bread"})
    bob = as_owner(database_url, "bob")

    assert command(database_url, "owner", "rename", "local", "alice") == (
        "alice has what was local's: 0 deleted_todos, 2 todo_items, 0 todo_lists, 0 access_tokens, 0 kept_answers"
    )
    with in_process(database_url=database_url, auth="token") as client:
        mine = client.get("/todos", headers=as_owner(database_url, "alice")).json()
        assert [todo["task"] for todo in mine] == ["Buy milk", "Buy bread"]
        assert client.get("/todos", headers=bob).json() == []
        with pytest.raises(SystemExit, match="alice has todos already"):
            command(database_url, "owner", "rename", "bob", "alice")
        command(database_url, "owner", "rename", "bob", "alice", "--merge")
        assert client.get("/todos", headers=bob).json() == mine
    with in_process(database_url=database_url) as client:
        assert client.get("/todos").json() == []


def test_a_token_may_be_to_read_alone(guarded: TestClient, database_url: str) -> None:
    guarded.post("/todos", json={"task": "Buy milk"}, headers=as_owner(database_url, "alice"))
    reader = as_owner(database_url, "alice", "--read-only")

    assert guarded.get("/todos/1", headers=reader).status_code == 200
    assert guarded.head("/todos/1", headers=reader).status_code == 200
    for method, path, body in [
        ("POST", "/todos", {"task": "x"}),
        ("POST", "/todos", {"tsk": "x"}),
        ("PUT", "/todos/1", {"complete": True}),
        ("PATCH", "/todos/7", {}),
        ("DELETE", "/todos/1", None),
        ("DELETE", "/todos/x?y=z", None),
    ]:
        refused = guarded.request(method, path, json=body, headers=reader)

        assert refused.status_code == 403
        assert refused.json()["type"] == "/problems/insufficient-scope"
        assert refused.headers["www-authenticate"] == 'Bearer realm="todo", error="insufficient_scope"'
    assert guarded.get("/todos/1", headers=reader).json()["version"] == 1


NOT_BEARER: dict[str, list[str]] = {
    "nothing": [],
    "an empty field": [""],
    "the token alone": ["{}"],
    "another scheme": ["Token {}"],
    "a name and a password": ["Basic " + base64.b64encode(b"alice:{}").decode()],
    "a digest": ['Digest username="alice", response="{}"'],
    "no space": ["Bearer{}"],
    "an equals sign": ["Bearer={}"],
    "a scheme in quotes": ['"Bearer" {}'],
}
WRONG: dict[str, list[str]] = {
    "the scheme alone": ["Bearer"],
    "the scheme and a space": ["Bearer "],
    "an unknown one": [f"Bearer {ANY_TOKEN}"],
    "a shorter one": ["Bearer {:.47}"],
    "a longer one": ["Bearer {}x"],
    "another last character": ["Bearer {:.47}~"],
    "an empty secret": ["Bearer todo_"],
    "no beginning": ["Bearer " + "x" * 43],
    "another beginning": ["Bearer tod0_" + "x" * 43],
    "an id": ["Bearer 1"],
    "a word behind": ["Bearer {} x"],
    "a comma behind": ["Bearer {},"],
    "quotes": ['Bearer "{}"'],
    "a scheme twice": ["Bearer Bearer {}"],
    "a list": ["Bearer {}, Bearer {}"],
    "two fields": ["Bearer {}", "Bearer {}"],
    "a field of another scheme": ["Basic eDp5", "Bearer {}"],
    "percent signs": ["Bearer todo%5F" + "x" * 43],
    "SQL": ["Bearer ' OR 1=1 --"],
    "JSON": ['Bearer {{"token": "{}"}}'],
    "null": ["Bearer null"],
    "a NUL": ["Bearer {}\0"],
    "other letters": ["Bearer todo_" + "é" * 43],
    "a very long one": ["Bearer todo_" + "x" * 5_000],
    "a JWT that is not signed": ["Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."],
}


def sending(fields: list[str], token: str) -> Any:
    """The header fields, with the valid token in their places; as bytes, which may be any."""
    return [(b"Authorization", field.format(token, token).encode("latin-1")) for field in fields]


def test_what_is_no_bearer_token_is_asked_for_one(guarded: TestClient, database_url: str) -> None:
    token = command(database_url, "token", "create", "alice")
    answers = {name: guarded.get("/todos", headers=sending(fields, token)) for name, fields in NOT_BEARER.items()}

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(NOT_BEARER, 401)
    assert {answer.headers["www-authenticate"] for answer in answers.values()} == {PLAIN}
    assert len({answer.content for answer in answers.values()}) == 1


def test_no_wrong_token_is_told_from_another(sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    token, revoked, expired = (command(url, "token", "create", "alice") for _ in range(3))
    command(url, "token", "revoke", "2")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE access_tokens SET expires_at = unixepoch() WHERE id = 3")
    wrong = WRONG | {
        "a revoked one": [f"Bearer {revoked}"],
        "an expired one": [f"Bearer {expired}"],
        "the digest of one": [f"Bearer {digest(token)}"],
        "the digest of one, dressed up": [f"Bearer todo_{digest(token)[:43]}"],
        "another case": [f"Bearer todo_{token[5:].swapcase()}"],
    }
    assert len(wrong) == 30
    with in_process(database_url=url, auth="token") as client:
        answers = {name: client.get("/todos", headers=sending(fields, token)) for name, fields in wrong.items()}

        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(wrong, 401)
        assert {answer.headers["www-authenticate"] for answer in answers.values()} == {INVALID}
        assert len({answer.content for answer in answers.values()}) == 1
        assert answers["a revoked one"].headers["content-type"] == "application/problem+json"
        for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
            assert client.get("/todos", headers={"authorization": f"{scheme} {token}"}).status_code == 200


def test_a_token_is_taken_from_its_header_alone(guarded: TestClient, database_url: str) -> None:
    token = command(database_url, "token", "create", "alice")
    for name in ("access_token", "token", "api_key"):
        assert guarded.get("/todos", params={name: token}).status_code == 401
        assert guarded.get("/todos", headers={"cookie": f"{name}={token}"}).status_code == 401
        assert guarded.post("/todos", json={"task": "x", name: token}).status_code == 401
        refused = guarded.get("/todos", params={name: token}, headers=bearer(token))
        assert refused.status_code == 422
        assert token not in refused.text
    assert guarded.get("/todos", headers={"x-api-key": token}).status_code == 401


def test_every_operation_asks_for_a_token_before_anything_else(guarded: TestClient) -> None:
    paths = guarded.get("/openapi.json").json()["paths"]
    tried = 0
    for path, methods in paths.items():
        if path in OPEN_PATHS:
            continue
        for method in [*methods, *(["head"] if "get" in methods else [])]:
            for target in (re.sub(r"\{\w+\}", "1", path), re.sub(r"\{\w+\}", "x", path), f"{path}?nonsense=1"):
                for content, kind in ((None, None), (b"{", "application/json"), (b"x", "text/plain")):
                    headers = {} if kind is None else {"content-type": kind}
                    tried += 1
                    refused = guarded.request(method, target, content=content, headers=headers)

                    assert refused.status_code == 401
                    assert refused.headers["www-authenticate"] == PLAIN
    assert tried > 50


def test_the_document_says_what_an_operation_needs(guarded: TestClient, client: TestClient) -> None:
    document, local = guarded.get("/openapi.json").json(), client.get("/openapi.json").json()

    (name,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][name].items() >= {"type": "http", "scheme": "bearer"}.items()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in OPEN_PATHS:
                assert operation["security"] == []
                continue
            assert operation["security"] == [{name: []}]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            assert ("403" in operation["responses"]) == (method != "get")
    # A client of a local server may send one all the same.
    assert local["components"]["securitySchemes"] == document["components"]["securitySchemes"]
    assert local["security"] == [{}, {name: []}]
    for path, methods in local["paths"].items():
        for operation in methods.values():
            assert not {"401", "403"} & set(operation["responses"])
            assert operation.get("security") == ([] if path in OPEN_PATHS else None)


def test_what_describes_the_server_needs_no_token(guarded: TestClient) -> None:
    for path in ("/", "/docs", "/docs/start.js", "/docs/narrow.css", "/openapi.json", "/problems/unauthorized"):
        assert guarded.get(path, headers={"host": "todo.example"}).status_code == 200


@pytest.mark.parametrize("auth", ["local", "token"])
def test_the_docs_can_be_switched_off(sqlite_backend: SQLite, auth: str) -> None:
    with in_process(database_url=sqlite_backend.migrated(), auth=auth, docs=False) as client:
        for path in ("/", "/docs", "/docs/start.js", "/docs/swagger-ui.css", "/openapi.json"):
            answer = client.get(path)

            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/problems/not-found").status_code == 200
        assert client.get("/todos").status_code == (200 if auth == "local" else 401)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements that the databases of this process are sent."""
    seen: list[str] = []

    def see(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", see)
    yield seen
    event.remove(Engine, "before_cursor_execute", see)


@pytest.mark.parametrize("query", ["/todos/1", "/todos", "/todos?complete=true", "/todos?sort=-id", "/todos?ids=1"])
@pytest.mark.parametrize(("auth", "reads"), [("local", 1), ("token", 2)])
def test_a_read_is_one_search_of_an_index_and_its_token_another(
    sqlite_backend: SQLite, statements: list[str], auth: str, reads: int, query: str
) -> None:
    url = sqlite_backend.migrated()
    headers = as_owner(url, "local")
    with in_process(database_url=url, auth=auth) as client:
        client.post("/todos", json={"task": "Buy milk", "complete": True}, headers=headers)
        statements.clear()

        assert client.get(query, headers=headers).status_code == 200
        assert len(statements) == reads
    assert "owner = ?" in statements[-1]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for statement in statements:
            values = ["x"] * statement.count("?")
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

            assert [step.split()[0] for step in plan] == ["SEARCH"], (statement, plan)


@pytest.mark.slow
def test_a_real_server_lets_a_token_in_while_it_is_valid_and_logs_none(folder: Path, sqlite_backend: SQLite) -> None:
    settings = {"TODO_DATABASE_URL": sqlite_backend.migrated(), "TODO_AUTH": "token"}
    # S104: every address, as a server for others has it.
    with serving(folder, "todo_api", "--host", "0.0.0.0", "--port", "0", **settings) as (server, client):  # noqa: S104
        made = run("todo_api", "token", "create", "alice", **settings)
        token = made.stdout.strip()
        assert (made.returncode, made.stderr) == (0, "")
        assert client.post("/todos", json={"task": "Buy milk"}, headers=bearer(token)).status_code == 201
        behind_a_proxy = {"host": "todo.example", "x-forwarded-for": "192.0.2.7", "origin": "https://todo.example"}
        assert client.get("/todos/1", headers=bearer(token) | behind_a_proxy).status_code == 200
        assert client.get(f"/todos?access_token={token}").status_code == 401
        assert client.get(f"/todos/{token}", headers=bearer(token)).status_code == 422
        assert client.get("/todos", headers=bearer(token) | {"x-request-id": token}).status_code == 200
        command(settings["TODO_DATABASE_URL"], "token", "revoke", "1")
        assert client.get("/todos/1", headers=bearer(token)).status_code == 401
        assert server.stop() == 0

    assert " GET /todos 401 " in server.output
    assert token not in server.output
