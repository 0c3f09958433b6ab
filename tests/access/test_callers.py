"""`TODO_AUTH=local`: this machine is served without login, and nothing and nobody else."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from tests.applications import in_process
from tests.databases import SQLite
from tests.servers import PATIENCE, run, serving, starting

EVIL = "https://evil.example"


@pytest.fixture
def local(sqlite_backend: SQLite) -> Iterator[TestClient]:
    """A client of a server with TODO_ALLOWED_HOSTS=todo.lan,[fd00::7] and TODO_CORS_ORIGINS=https://app.example."""
    hosts, origins = ["todo.lan", "[fd00::7]"], ["https://app.example"]
    with in_process(database_url=sqlite_backend.migrated(), allowed_hosts=hosts, cors_origins=origins) as client:
        client.post("/todos", json={"task": "Buy milk"})
        yield client


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_peer_on_this_machine_is_served(sqlite_backend: SQLite, peer: str) -> None:
    with in_process(peer=(peer, 50000), database_url=sqlite_backend.migrated()) as client:
        assert client.get("/todos").status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.9", "172.17.0.1", "::ffff:10.0.0.9", "2001:db8::1", "", "x", None])
def test_a_peer_on_another_machine_is_refused_and_told_the_setting(sqlite_backend: SQLite, peer: str | None) -> None:
    address = None if peer is None else (peer, 50000)  # none: what is at a port must have one
    with in_process(peer=address, database_url=sqlite_backend.migrated()) as client:
        refused = client.get("/todos")

    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-request-id"]
    assert refused.json()["type"] == "/problems/not-local"
    assert "TODO_AUTH=token" in refused.json()["detail"]


FORWARDED = {
    "forwarded": "for=127.0.0.1",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": "localhost",
    "x-forwarded-proto": "https",
    "x-forwarded-anything": "",
    "x-real-ip": "127.0.0.1",
    "x-client-ip": "127.0.0.1",
    "cf-connecting-ip": "127.0.0.1",
    "via": "1.1 proxy",
}


@pytest.mark.parametrize("name", FORWARDED)
def test_what_a_proxy_passed_on_is_refused(local: TestClient, name: str) -> None:
    refused = local.get("/todos", headers={name: FORWARDED[name]})

    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/not-local"
    assert "a proxy passed the request on" in refused.json()["detail"]


NAMES = ["127.0.0.1", "localhost", "LocalHost:80", "[::1]:8000", "[::1]", "todo.lan", "TODO.lan:1", "[fd00::7]:8000"]
OTHER_NAMES = [
    *(
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
    ),
    *("xlocalhost", "localhost:8000:1", "localhost:x", "localhost, localhost", "todo.lan.", "::1", "0.0.0.0:8000", ""),
]


@pytest.mark.parametrize("host", NAMES)
def test_the_names_of_this_server_are_served(local: TestClient, host: str) -> None:
    assert local.get("/todos", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", OTHER_NAMES)
def test_another_name_is_misdirected_and_told_the_setting(local: TestClient, host: str) -> None:
    refused = local.get("/todos", headers={"host": host})

    assert refused.status_code == 421
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/misdirected"
    assert "TODO_ALLOWED_HOSTS" in refused.json()["detail"]
    assert host not in refused.text or not host


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("https://127.0.0.1:8000", 200),
        ("https://app.example", 200),
        (EVIL, 403),
        ("null", 403),
        ("", 403),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:3000", 403),
        ("http://localhost:8000", 403),
        ("https://app.example.evil.example", 403),
    ],
)
def test_a_web_page_may_call_if_it_is_of_this_server_or_of_the_settings(
    local: TestClient, origin: str, status: int
) -> None:
    assert local.get("/todos", headers={"origin": origin}).status_code == status
    assert local.put("/todos/1", json={"complete": True}, headers={"origin": origin}).status_code == status


def test_every_path_is_guarded(local: TestClient) -> None:
    for path in ("/", "/docs", "/docs/start.js", "/openapi.json", "/todos", "/problems/not-found", "/nothing"):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE"):
            assert local.request(method, path, headers={"host": "evil.example"}).status_code == 421


@pytest.fixture
def by_hand(folder: Path, sqlite_backend: SQLite) -> Iterator[httpx.Client]:
    """A client of a server that was started by hand, and that has the todo 1."""
    command = ("uvicorn", "todo_api.main:app", "--port", "0")
    with serving(folder, *command, TODO_DATABASE_URL=sqlite_backend.migrated()) as (_, client):
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
        yield client


JSON = {"content-type": "application/json"}
FROM_EVIL = {"origin": EVIL, "sec-fetch-site": "cross-site"}
TASK = b'{"task": "x"}'
WEB_PAGES: dict[str, tuple[str, str, dict[str, str], bytes, int]] = {
    "a rebound name reads": ("GET", "/todos", {"host": "evil.example"}, b"", 421),
    "a rebound name reads one": ("GET", "/todos/1", {"host": "evil.example:8000"}, b"", 421),
    "a rebound name writes": ("POST", "/todos", {"host": "evil.example", "origin": EVIL, **JSON}, TASK, 421),
    "a rebound name deletes": ("DELETE", "/todos/1", {"host": "evil.example", "origin": EVIL}, b"", 421),
    "a rebound name reads the docs": ("GET", "/docs", {"host": "evil.example"}, b"", 421),
    "text": ("POST", "/todos", {**FROM_EVIL, "content-type": "text/plain"}, TASK, 403),
    "a form": ("POST", "/todos", {**FROM_EVIL, "content-type": "application/x-www-form-urlencoded"}, b"task=x", 403),
    "a form of parts": ("POST", "/todos", {**FROM_EVIL, "content-type": "multipart/form-data; boundary=x"}, TASK, 403),
    "no type": ("POST", "/todos", FROM_EVIL, TASK, 403),
    "no body": ("POST", "/todos", FROM_EVIL, b"", 403),
    "JSON without a preflight": ("POST", "/todos", {**FROM_EVIL, **JSON}, TASK, 403),
    "a form with a cookie": ("POST", "/todos", {**FROM_EVIL, "cookie": "session=1"}, b"task=x", 403),
    "a method in a header": ("POST", "/todos/1", {**FROM_EVIL, "x-http-method-override": "DELETE"}, b"", 403),
    "a file of this machine": ("POST", "/todos", {"origin": "null", **JSON}, TASK, 403),
    "another server of this machine": ("DELETE", "/todos/1", {"origin": "http://127.0.0.1:1"}, b"", 403),
    "text from an old browser": ("POST", "/todos", {"content-type": "text/plain"}, TASK, 415),
    "a form from an old browser": ("POST", "/todos", {"content-type": "multipart/form-data; boundary=x"}, TASK, 415),
    "no type from an old browser": ("POST", "/todos", {}, TASK, 415),
    "a name behind a proxy": ("GET", "/todos", {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "x"}, b"", 403),
}


def test_web_pages_of_elsewhere_get_nothing_of_a_real_server(by_hand: httpx.Client) -> None:
    before = by_hand.get("/todos").text

    answers = {
        name: by_hand.request(method, path, headers=headers, content=body)
        for name, (method, path, headers, body, _) in WEB_PAGES.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: status for name, (*_, status) in WEB_PAGES.items()
    }
    for answer in answers.values():
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Buy milk" not in answer.text
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "set-cookie" not in answer.headers
    assert by_hand.get("/todos").text == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_of_an_unknown_origin_allows_nothing(local: TestClient, method: str) -> None:
    asked = {"access-control-request-method": method, "access-control-request-headers": "content-type, authorization"}
    answer = local.options("/todos/1", headers=asked | {"origin": EVIL})

    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "private, no-cache",
}


def test_every_answer_tells_browsers_what_not_to_do_with_it(local: TestClient) -> None:
    answers = [
        local.get("/todos"),
        local.get("/todos/1", headers={"if-none-match": '"1"'}),
        local.get("/todos/7"),
        local.get("/nothing"),
        local.post("/todos", json={}),
        local.post("/todos", content=b" " * 300_000, headers=JSON),
        local.options("/todos"),
        local.get("/openapi.json"),
        local.get("/docs/swagger-ui.css"),
        local.get("/todos", headers={"host": "evil.example"}),
        local.delete("/todos/1"),
    ]

    assert {answer.status_code for answer in answers} == {200, 204, 304, 404, 413, 421, 422}
    for answer in answers:
        for name, value in SECURITY.items():
            assert answer.headers.get_list(name) == [value]
    page = local.get("/docs")
    assert len(page.headers.get_list("content-security-policy")) == 1
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_the_command_does_not_serve_other_machines_without_tokens(sqlite_backend: SQLite) -> None:
    refused = run("todo_api", "--host", "0.0.0.0", TODO_DATABASE_URL=sqlite_backend.empty())  # noqa: S104  # refused

    assert refused.returncode != 0
    assert refused.stderr.startswith("todo_api: 0.0.0.0 can be reached from other machines")
    assert refused.stderr.endswith("to serve others, set TODO_AUTH=token\n")
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_unix_socket_is_of_this_machine(folder: Path, sqlite_backend: SQLite) -> None:
    path = folder / "socket"
    command = ("uvicorn", "todo_api.main:app", "--uds", str(path))
    with starting(folder, *command, TODO_DATABASE_URL=sqlite_backend.migrated()) as server:
        deadline = time.monotonic() + PATIENCE
        while not can_connect(path):
            assert server.process.poll() is None, server.output
            assert time.monotonic() < deadline, server.output
            time.sleep(0.02)  # between two looks: nothing tells of a socket that listens
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
            assert client.get("/todos").json() == []
            assert client.get("/todos", headers={"host": "evil.example"}).status_code == 421
            assert client.get("/todos", headers={"x-real-ip": "10.0.0.9"}).status_code == 403


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(path))
        return True
    return False
