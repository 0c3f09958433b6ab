"""Clients that are slow, greedy or too many, against the real command."""

import resource
import select
import socket
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.databases import SQLite
from tests.servers import PATIENCE, Server, exchange, receive, serving, statuses

HALF_A_HEAD = b"GET /todos HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = HALF_A_HEAD + b"\r\n"
POST = b"POST /todos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HALF_A_BODY = POST + b'Content-Length: 999\r\n\r\n{"task": '
END = b"GET /end HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
TOO_LARGE = 8 * 1024 * 1024
SHORT_TIMES = {"TODO_REQUEST_TIMEOUT": "1", "TODO_KEEP_ALIVE": "1", "TODO_MAX_CONNECTIONS": "10"}

Running = tuple[Server, httpx.Client]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sqlite_backend: SQLite) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("slow-clients")
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated(), **SHORT_TIMES) as running:
        yield running


def test_a_request_that_does_not_arrive_in_time_is_refused(served: Running) -> None:
    server, client = served
    with ExitStack() as stack:
        begun = [b"", HALF_A_HEAD, HALF_A_BODY] * 2
        connections = [stack.enter_context(server.connect()) for _ in begun]
        for connection in connections[4:]:  # the first request, or one after another
            connection.sendall(GET)
            assert statuses(connection.recv(65536)) == [200]
        for connection, sent in zip(connections, begun, strict=True):
            connection.sendall(sent)
        answers = [receive(connection) for connection in connections]

    assert [statuses(answer) for answer in answers] == [[408]] * 6
    for answer in answers:
        assert b"content-type: application/problem+json" in answer
        assert b"connection: close" in answer
    assert client.get("/todos").json() == []
    assert "Traceback" not in server.output


@pytest.mark.slow
def test_a_request_that_drips_is_refused_all_the_same(served: Running) -> None:
    server, _ = served
    for begun, drop in ((HALF_A_HEAD, b"X: y\r\n"), (HALF_A_BODY, b" ")):
        with server.connect() as connection:
            connection.sendall(begun)
            connection.settimeout(0.1)
            answer = b""
            while not answer:
                connection.sendall(drop)
                with suppress(TimeoutError):
                    answer = connection.recv(65536)

            assert statuses(answer) == [408]


def test_an_idle_connection_is_closed_without_a_word(served: Running) -> None:
    server, _ = served

    assert statuses(exchange(server, GET)) == [200]


@pytest.mark.slow
def test_a_client_that_does_not_read_its_answers_is_cut(served: Running) -> None:
    server, client = served
    for _ in range(10):
        assert client.post("/todos", json={"task": "x" * 500}).status_code == 201
    with server.connect() as connection:
        connection.setblocking(False)
        poll = select.poll()
        poll.register(connection, 0)  # nothing but the end of the connection, which is always told
        with suppress(BlockingIOError):
            while True:
                connection.send(GET * 1000)

        assert poll.poll(PATIENCE * 1000)
    assert client.get("/todos").status_code == 200


@pytest.mark.slow
def test_a_client_that_sends_ahead_is_read_no_faster_than_it_is_answered(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as lock,
        serving(folder, TODO_DATABASE_URL=url) as (server, _),
        server.connect() as connection,
    ):
        lock.execute("BEGIN IMMEDIATE")
        connection.sendall(POST + b'Content-Length: 15\r\n\r\n{"task":"sent"}')
        connection.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 2 * TOO_LARGE:
                sent += connection.send(GET * 1000)
        lock.execute("COMMIT")
        connection.settimeout(PATIENCE)
        answers = connection.recv(65536)

    assert sent < TOO_LARGE
    assert statuses(answers)[0] == 201


def test_what_the_server_refuses_by_itself_has_the_headers_of_every_answer_and_a_line_of_log(served: Running) -> None:
    server, client = served
    head_of_a_megabyte = HALF_A_HEAD + b"X: " + b"y" * 1_000_000
    named = HALF_A_BODY.replace(POST, POST + b"X-Request-Id: mine\r\n")
    with ExitStack() as stack:
        answers = [exchange(server, sent) for sent in (b"nonsense\r\n\r\n", head_of_a_megabyte, named)]
        usual = client.get("/todos").headers
        for _ in range(9):
            stack.enter_context(server.connect())
        answers.append(exchange(server))

    assert [statuses(answer) for answer in answers] == [[400], [431], [408], [503]]
    assert b'"type":"/problems/head-too-large"' in answers[1]
    for answer in answers:
        found = fields(answer)
        for name in usual.keys() - {"content-type", "content-length", "date", "x-request-id"}:
            assert found[name] == usual[name]
        server.wait_until_said(f"{found['x-request-id']} of 127.0.0.1 refused: {found['status']} ")
    assert fields(answers[2])["x-request-id"] == "mine"


def fields(answer: bytes) -> dict[str, str]:
    """The fields of an answer, and its status."""
    line, *lines = answer.partition(b"\r\n\r\n")[0].decode().splitlines()
    return {"status": line.split(" ")[1]} | dict(line.split(": ", 1) for line in lines)


def test_connections_over_the_bound_are_refused_at_once_and_the_others_are_served(served: Running) -> None:
    server, client = served
    with ExitStack() as stack:
        client.get("/todos")
        held = [stack.enter_context(server.connect()) for _ in range(9)]
        refused = stack.enter_context(server.connect())
        refused.sendall(GET)
        answer = receive(refused)
        silent, _, _ = select.select(held, [], [], 0)

        assert statuses(answer) == [503]
        assert b"retry-after: 1" in answer
        assert b"content-type: application/problem+json" in answer
        assert silent == []
        assert client.get("/todos").status_code == 200
    assert client.get("/todos").status_code == 200


GREEDY = {
    "declared": (b"Content-Length: %d\r\n\r\n" % TOO_LARGE + b" " * TOO_LARGE, [413, 404]),
    "declared, on a connection to be closed": (
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % TOO_LARGE + b" " * TOO_LARGE,
        [413],
    ),
    "in chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 128 + b"0\r\n\r\n",
        [413, 404],
    ),
    "in chunks, on a connection to be closed": (
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 128,
        [413],
    ),
}


@pytest.mark.parametrize(("body", "found"), GREEDY.values(), ids=GREEDY.keys())
def test_a_body_that_is_too_large_is_refused_while_its_client_sends(
    served: Running, body: bytes, found: list[int]
) -> None:
    server, _ = served
    with server.connect() as connection:
        connection.sendall(POST + body)  # which would fail if the server just closed
        connection.sendall(END if 404 in found else b"")

        assert statuses(receive(connection)) == found


def test_a_client_that_asks_before_it_sends_a_large_body_is_told_not_to(served: Running) -> None:
    server, _ = served
    with server.connect() as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % TOO_LARGE)

        assert statuses(connection.recv(65536)) == [413]


@pytest.mark.slow
def test_the_server_may_open_a_file_for_each_connection(folder: Path, sqlite_backend: SQLite) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, _):
            allowed, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert allowed > 2000


@pytest.mark.slow
def test_a_low_limit_of_open_files_is_said_and_leaves_room_for_the_database(
    folder: Path, sqlite_backend: SQLite
) -> None:
    before = ("prlimit", "--nofile=64:64")
    url = sqlite_backend.migrated()
    with serving(folder, before=before, TODO_DATABASE_URL=url) as (server, _), ExitStack() as stack:
        server.wait_until_said("each process serves 12 connections, not the 2000 of TODO_MAX_CONNECTIONS")
        others = []
        for _ in range(100):
            with suppress(ConnectionResetError):  # it was cut at once
                others.append(stack.enter_context(server.connect()))
        body = b'{"task": "Buy milk"}'
        for served in others[:5]:
            served.sendall(POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
            assert statuses(receive(served)) == [201]
        refused = [told for other in others[16:] if (told := what_came(other))]
        assert {tuple(statuses(told)) for told in refused} <= {(503,)}
        assert "socket.accept() out of system resource" not in server.output


def what_came(connection: socket.socket) -> bytes:
    """What the server sent until it closed or cut the connection."""
    with suppress(ConnectionResetError):
        return receive(connection)
    return b""


@pytest.mark.slow
def test_500_clients_that_drip_do_not_slow_the_others(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=url, TODO_REQUEST_TIMEOUT="4") as (server, client), ExitStack() as stack:
        client.post("/todos", json={"task": "Buy milk"})
        alone = [seconds(client) for _ in range(300)]
        dripping = [stack.enter_context(server.connect()) for _ in range(500)]
        for number, connection in enumerate(dripping):
            connection.sendall(HALF_A_HEAD if number % 2 else HALF_A_BODY)
        beside = []
        told: dict[socket.socket, bytes] = {}
        while len(told) < len(dripping):
            for number, connection in enumerate(dripping):
                if connection not in told:
                    readable, _, _ = select.select([connection], [], [], 0)
                    if readable:
                        told[connection] = receive(connection)
                    else:
                        connection.sendall(b"x" if number % 2 else b" ")
                if number % 10 == 0:
                    beside.append(seconds(client))

        assert {tuple(statuses(answer)) for answer in told.values()} == {(408,)}
        assert statistics.median(beside) < 2 * statistics.median(alone)
        assert client.get("/todos/1").status_code == 200


def seconds(client: httpx.Client) -> float:
    start = time.perf_counter()
    assert client.get("/todos/1").status_code == 200
    return time.perf_counter() - start
