"""The log: one line for each request, which says nothing secret."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.databases import SQLite
from tests.servers import Server, exchange, run, serving, statuses

SECRET = "hunter2"  # noqa: S105  # a word to look for
REQUESTS = (
    ("GET", "/todos", "/todos", 200),
    ("POST", "/todos", "/todos", 201),
    ("GET", "/todos/1", "/todos/{todo_id}", 200),
    ("HEAD", "/todos/1", "/todos/{todo_id}", 200),
    ("GET", f"/todos/{SECRET}", "/todos/{todo_id}", 422),
    ("GET", f"/{SECRET}", "-", 404),
    ("GET", f"/todos?cursor={SECRET}", "/todos", 422),
    ("GET", "/livez", "/livez", 200),
)
HEADERS = {"authorization": f"Bearer {SECRET}", "cookie": SECRET, "x-request-id": "mine"}


def send_all(folder: Path, database_url: str, *command: str, **environment: str) -> list[str]:
    """Send REQUESTS to a server; the lines that it logged of them."""
    with serving(folder, *command, TODO_DATABASE_URL=database_url, **environment) as (server, client):
        for method, path, _, status in REQUESTS:
            body = {"json": {"task": SECRET}} if method == "POST" else {}
            answer = client.request(method, path, headers=HEADERS, **body)  # type: ignore[arg-type]
            assert answer.status_code == status
        assert server.stop() in (0, -15)
        assert SECRET not in server.output
        return [line for line in server.output.splitlines() if "mine" in line]


def test_a_request_is_logged_in_one_line_for_people(folder: Path, sqlite_backend: SQLite) -> None:
    lines = send_all(folder, sqlite_backend.migrated())

    assert len(lines) == len(REQUESTS)
    for line, (method, _, route, status) in zip(lines, REQUESTS, strict=True):
        wanted = (
            rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z INFO    mine {method} {re.escape(route)} {status} [\d.]+ ms"
        )
        assert re.fullmatch(wanted, line)


@pytest.mark.parametrize("command", [(), ("uvicorn", "todo_api.main:app", "--port", "0")], ids=["command", "by hand"])
def test_a_request_is_logged_in_one_line_for_programs(
    folder: Path, sqlite_backend: SQLite, command: tuple[str, ...]
) -> None:
    lines = send_all(folder, sqlite_backend.migrated(), *command, TODO_LOG_FORMAT="json")

    assert len(lines) == len(REQUESTS)
    for line, (method, _, route, status) in zip(lines, REQUESTS, strict=True):
        entry = json.loads(line)
        assert list(entry) == ["time", "level", "request_id", "method", "route", "status", "duration_ms"]
        assert (entry["request_id"], entry["method"], entry["route"], entry["status"]) == (
            "mine",
            method,
            route,
            status,
        )
        assert entry["duration_ms"] > 0


def test_every_line_of_the_server_is_json_if_asked(folder: Path, sqlite_backend: SQLite) -> None:
    environment = {"TODO_DATABASE_URL": sqlite_backend.migrated(), "TODO_LOG_FORMAT": "json"}
    with serving(folder, **environment) as (server, _):
        server.stop()

    lines = server.output.splitlines()
    (said,) = [line for line in lines if line.startswith("todo_api serves")]  # to the person who starts it
    lines.remove(said)
    assert "Application startup complete." in [json.loads(line)["message"] for line in lines]


def test_requests_are_not_logged_above_the_level_of_information(folder: Path, sqlite_backend: SQLite) -> None:
    assert send_all(folder, sqlite_backend.migrated(), TODO_LOG_LEVEL="warning") == []


def test_the_password_of_the_database_is_not_logged() -> None:
    url = f"postgres://me:{SECRET}@127.0.0.1:1/todo"
    refused = run("uvicorn", "todo_api.main:app", "--port", "0", TODO_DATABASE_URL=url, TODO_LOG_FORMAT="json")

    assert "cannot open the database postgres://me:***@127.0.0.1:1/todo" in refused.stderr
    assert SECRET not in refused.stderr


MANY = 25_000
"""Requests whose lines are more than a pipe and the server keep: 10,000 wait, and as many may be on their way."""


@contextmanager
def serving_to_a_pipe(folder: Path, sqlite_backend: SQLite) -> Iterator[tuple[Server, int]]:
    """A server whose log goes to a pipe, and the end of the pipe that nobody reads."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    before = ("sh", "-c", 'exec "$@" 2> "$0"', str(pipe))
    try:
        with serving(folder, before=before, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, _):
            yield server, reader
    finally:
        os.close(reader)


def ask(server: Server, times: int) -> list[int]:
    """The answers to so many requests that are sent one behind the other."""
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    requests = (request + b"\r\n") * (times - 1) + request + b"Connection: close\r\n\r\n"
    return statuses(exchange(server, requests))


@pytest.mark.slow
def test_a_log_that_nobody_reads_holds_up_no_request_and_not_the_end(folder: Path, sqlite_backend: SQLite) -> None:
    with serving_to_a_pipe(folder, sqlite_backend) as (server, _):
        assert ask(server, MANY) == [200] * MANY
        assert server.stop() == 0


@pytest.mark.slow
def test_a_log_says_how_many_lines_were_lost_when_it_is_read_again(folder: Path, sqlite_backend: SQLite) -> None:
    with serving_to_a_pipe(folder, sqlite_backend) as (server, reader):
        ask(server, MANY)
        read = b""
        while b"lines of the log were lost" not in read:
            with suppress(BlockingIOError):
                read += os.read(reader, 65536)
        assert ask(server, 1) == [200]
        while read.count(b"/livez") == read[: read.index(b"were lost")].count(b"/livez"):
            with suppress(BlockingIOError):
                read += os.read(reader, 65536)

        lost = int(re.findall(rb"WARNING (\d+) lines of the log were lost", read)[0])
        assert lost + read[: read.index(b"were lost")].count(b"GET /livez 200") == MANY
        assert server.stop() == 0
