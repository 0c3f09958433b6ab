"""How the command ends, and how it starts again."""

import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.databases import ROOT, Backend, SQLite
from tests.servers import PATIENCE, Server, proxy, receive, serving, starting, statuses
from todo_api.__main__ import free_port

SIGNALS = [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
WORKERS = [1, pytest.param(2, marks=pytest.mark.slow)]
POST = b"POST /todos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
BODY = b'{"task":"sent"}'


def command(workers: int) -> tuple[str, ...]:
    return ("todo_api", "--port", "0", "--workers", str(workers))


@contextmanager
def running_request(server: Server, url: str) -> Iterator[tuple[Future[httpx.Response], sqlite3.Connection]]:
    """A request that runs until the lock on its database is released."""
    path = url.removeprefix("sqlite:///")
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as lock,
        ThreadPoolExecutor(1) as thread,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        lock.execute("BEGIN IMMEDIATE")
        answer = thread.submit(client.post, "/todos", json={"task": "Buy milk"})
        time.sleep(0.2)  # nothing tells that a request has begun to wait for a lock
        yield answer, lock


def wait_until_refused(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    with suppress(ConnectionRefusedError, ConnectionResetError):
        while time.monotonic() < deadline:
            server.connect().close()
        raise AssertionError("connections are still accepted")


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("how", SIGNALS)
def test_a_signal_lets_the_running_request_end_and_refuses_new_connections(
    folder: Path, sqlite_backend: SQLite, how: signal.Signals, workers: int
) -> None:
    url = sqlite_backend.migrated()
    with serving(folder, *command(workers), TODO_DATABASE_URL=url) as (server, client):
        client.get("/todos")
        with running_request(server, url) as (answer, lock):
            server.process.send_signal(how)
            wait_until_refused(server)
            assert not answer.done()
            assert server.process.poll() is None
            lock.execute("COMMIT")

            assert answer.result().status_code == 201
            assert answer.result().headers["connection"] == "close"
        assert server.process.wait(PATIENCE) == 0
        assert "Traceback" not in server.output


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_sent_half_a_request_does_not_keep_the_server(
    folder: Path, sqlite_backend: SQLite, workers: int
) -> None:
    times = {"TODO_SHUTDOWN_TIMEOUT": "2"}
    with serving(folder, *command(workers), TODO_DATABASE_URL=sqlite_backend.migrated(), **times) as (server, _):
        with server.connect() as silent, server.connect() as head, server.connect() as half, server.connect() as whole:
            head.sendall(POST[:50])
            half.sendall(POST + BODY[:5])
            whole.sendall(POST + BODY[:5])
            time.sleep(0.2)  # nothing tells that half a request has arrived
            server.process.send_signal(signal.SIGTERM)
            wait_until_refused(server)
            whole.sendall(BODY[5:])

            assert statuses(receive(whole)) == [201]
            assert statuses(receive(half)) == [408]
            assert [statuses(receive(head)), statuses(receive(silent))] == [[408], [408]]
        assert server.process.wait(PATIENCE) == 0
        assert "Traceback" not in server.output


@pytest.mark.slow
def test_a_request_that_runs_for_too_long_is_told_that_the_server_ends(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=url, TODO_SHUTDOWN_TIMEOUT="1") as (server, client):
        with running_request(server, url) as (answer, _):
            assert server.stop() == 0

            assert answer.result().status_code == 503
            assert answer.result().headers["content-type"] == "application/problem+json"
        assert "Traceback" not in server.output
    with serving(folder, TODO_DATABASE_URL=url) as (_, client):
        assert client.get("/todos").json() == []


def has_opened(server: Server, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return any(file.readlink() == path for file in Path(f"/proc/{server.process.pid}/fd").iterdir())
    return False


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_migration_ends_the_start(
    folder: Path, sqlite_backend: SQLite, how: signal.Signals
) -> None:
    url = sqlite_backend.empty()
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        with starting(folder, TODO_DATABASE_URL=url) as server:
            while not has_opened(server, path):
                time.sleep(0.01)  # until it waits for the lock

            assert server.stop(how) == 0
            assert "Traceback" not in server.output


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_while_the_application_starts_ends_it(folder: Path, sqlite_backend: SQLite, workers: int) -> None:
    for after in ("todo_api serves", "Started"):
        with starting(folder, *command(workers), TODO_DATABASE_URL=sqlite_backend.migrated()) as server:
            server.wait_until_said(after)

            assert server.stop() == 0
            assert "Traceback" not in server.output


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_has_no_room_for_its_output_serves_all_the_same(sqlite_backend: SQLite, workers: int) -> None:
    port = free_port("127.0.0.1")
    arguments = [sys.executable, "-m", "todo_api", "--port", str(port), "--workers", str(workers)]
    environment = os.environ | {"TODO_DATABASE_URL": sqlite_backend.migrated()}
    with Path("/dev/full").open("w") as full:
        server = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=full, stderr=full)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            deadline = time.monotonic() + PATIENCE
            answer = None
            while answer is None and time.monotonic() < deadline and server.poll() is None:
                with suppress(httpx.TransportError):
                    answer = client.post("/todos", json={"task": "Buy milk"})
                time.sleep(0.05)  # until it listens
        assert answer is not None
        assert answer.status_code == 201
        server.terminate()
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()


@pytest.mark.slow
def test_a_port_that_is_taken_ends_the_start(folder: Path, sqlite_backend: SQLite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for workers in (1, 2):
            arguments = ("--port", str(taken.getsockname()[1]), "--workers", str(workers))
            with starting(folder, "todo_api", *arguments, TODO_DATABASE_URL=sqlite_backend.migrated()) as server:
                assert server.process.wait(PATIENCE) != 0
                assert "address already in use" in server.output.lower()


@pytest.mark.slow
def test_a_rolling_restart_behind_a_proxy_loses_nothing(folder: Path, backend: Backend) -> None:
    url = backend.migrated()
    stop = threading.Event()
    created: list[str] = []

    def work(name: str, at: str) -> None:
        with httpx.Client(base_url=at, timeout=PATIENCE) as client:
            for number in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
                answer = client.post("/todos", json={"task": f"{name} {number}"})
                assert answer.status_code == 201, answer.text
                created.append(f"{name} {number}")
                assert client.get("/todos?limit=1").status_code == 200

    with ExitStack() as stack:
        servers = [stack.enter_context(serving(folder, TODO_DATABASE_URL=url))[0] for _ in range(2)]
        with proxy(folder, *servers) as at, ThreadPoolExecutor(8) as threads:
            workers = [threads.submit(work, f"worker {number}", at) for number in range(8)]
            try:
                for index in (0, 1) * 2:
                    assert servers[index].stop() == 0
                    port = str(servers[index].address[1])
                    again = serving(folder, "todo_api", "--port", port, TODO_DATABASE_URL=url)
                    servers[index] = stack.enter_context(again)[0]
                    done = len(created)
                    while len(created) < done + 20 and not any(worker.done() for worker in workers):
                        time.sleep(0.01)  # until the proxy has had the time to find it again
            finally:
                stop.set()
            for worker in workers:
                worker.result()
            kept = all_tasks(at)

    assert len(created) > 100
    assert sorted(kept) == sorted(created)


def all_tasks(url: str) -> list[str]:
    tasks: list[str] = []
    following = httpx.URL(f"{url}/todos?limit=500")
    with httpx.Client(timeout=PATIENCE) as client:
        while True:
            page = client.get(following)
            tasks += [todo["task"] for todo in page.json()]
            if "next" not in page.links:
                return tasks
            following = following.join(page.links["next"]["url"])
