"""What one client asks for that takes long: the others are answered meanwhile, and it ends at its deadline."""

import re
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.applications import as_owner
from tests.benchmark.rows import fill
from tests.databases import Backend, SQLite
from tests.servers import PATIENCE, Server, serving

pytestmark = pytest.mark.slow

ROWS = 20_000
ALL = "created_after=2000-01-01T00:00:00Z"


@pytest.fixture
def many_todos(backend: Backend, request: pytest.FixtureRequest) -> str:
    """The URL of a database with many todos."""
    if backend is not request.getfixturevalue("sqlite_backend"):
        url = backend.migrated()
        fill(url, ROWS)
        return url
    template = Path(request.getfixturevalue("filled").removeprefix("sqlite:///"))
    own = request.getfixturevalue("folder") / "todo.db"
    return f"sqlite:///{shutil.copyfile(template, own)}"


@pytest.fixture(scope="module")
def filled(sqlite_backend: SQLite) -> str:
    url = sqlite_backend.migrated()
    fill(url, ROWS)
    return url


def answered_meanwhile(work: Future[httpx.Response], ask: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """The answers to what is asked again and again until the work is done."""
    answers = []
    while not work.done():
        answers.append(ask())
    return answers


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_others_are_answered_while_many_todos_are_changed(folder: Path, many_todos: str, method: str) -> None:
    environment = {"TODO_DATABASE_URL": many_todos, "TODO_DATABASE_TIMEOUT": "1"}
    with serving(folder, **environment) as (server, client), ThreadPoolExecutor(3) as threads:
        first = client.get("/todos?limit=1").json()[0]["id"]

        def change() -> httpx.Response:
            with httpx.Client(base_url=server.url, timeout=PATIENCE * 4) as own:
                return own.request(
                    method, f"/todos?{ALL}&dry_run=true", json={"priority": 4} if method == "PATCH" else None
                )

        work = threads.submit(change)
        reads = threads.submit(answered_meanwhile, work, lambda: client.get(f"/todos/{first}"))
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as writer:
            writes = answered_meanwhile(work, lambda: writer.post("/todos", json={"task": "Buy milk"}))

        assert work.result().json()["matched"] >= ROWS
        assert {answer.status_code for answer in reads.result()} == {200}
        assert len(reads.result()) > 50
        for answer in writes:
            assert answer.status_code == 201 or (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"/todos?{ALL}", {"priority": 4}),
        ("DELETE", f"/todos?{ALL}", None),
        ("POST", "/todos/bulk", [{"task": "x", "notes": "\ufdfa" * 600}] * 500),
    ],
)
def test_a_change_of_many_that_takes_too_long_is_undone_and_409(
    folder: Path, many_todos: str, method: str, path: str, body: object
) -> None:
    environment = {"TODO_DATABASE_URL": many_todos, "TODO_BULK_TIMEOUT": "0.05"}
    with serving(folder, **environment) as (server, client):
        for _ in range(2):
            refused = client.request(method, path, json=body)

            assert (refused.status_code, refused.json()["type"]) == (409, "/problems/too-many-affected")
            assert "retry-after" not in refused.headers
            assert client.get(f"/todos?limit=1&count=true&{ALL}").headers["x-total-count"] == str(ROWS)
            assert client.get("/todos?limit=1&count=true&priority=4").headers["x-total-count"] == "0"
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
        assert "Traceback" not in server.output


def test_a_read_that_takes_too_long_is_503(folder: Path, many_todos: str) -> None:
    fill(many_todos, 3 * ROWS)
    environment = {"TODO_DATABASE_URL": many_todos, "TODO_DATABASE_TIMEOUT": "0.02"}
    with serving(folder, **environment) as (server, client):
        for _ in range(5):
            refused = client.get("/todos?q=zq&count=true")

            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert client.get("/livez").status_code == 200
        statuses = {client.get("/todos?limit=1").status_code for _ in range(20)}
        assert 200 in statuses
        assert statuses <= {200, 503}
        assert "Traceback" not in server.output


def test_slow_reads_of_one_owner_leave_places_to_the_others(folder: Path, many_todos: str) -> None:
    headers = {name: as_owner(many_todos, name) for name in ("local", "bob")}
    order: list[str] = []

    def search(name: str) -> None:
        answer = client.get("/todos?q=zq&count=true&limit=1", headers=headers[name])
        assert answer.status_code == 200
        order.append(name)

    environment = {"TODO_DATABASE_URL": many_todos, "TODO_AUTH": "token", "TODO_DATABASE_TIMEOUT": "30"}
    with serving(folder, **environment) as (_, client), ThreadPoolExecutor(21) as threads:
        searches = [threads.submit(search, "local") for _ in range(20)]
        while not order:
            time.sleep(0.001)  # until the first of them is done
        threads.submit(search, "bob").result()
        assert len(order) < 20
        for each in searches:
            each.result()


def test_a_signal_undoes_a_change_of_many(folder: Path, many_todos: str) -> None:
    environment = {"TODO_DATABASE_URL": many_todos, "TODO_SHUTDOWN_TIMEOUT": "1"}
    with serving(folder, **environment) as (server, client), ThreadPoolExecutor(1) as threads:
        repeated = [{"task": f"x {number}", "notes": "\ufdfa" * 300} for number in range(500)]
        assert client.post("/todos/bulk", json=repeated).status_code == 201

        def change() -> None:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as own:
                for priority in (1, 2, 3, 4, 5, 6, 7, 8, 9) * 20:
                    try:
                        answer = own.patch(f"/todos?{ALL}", json={"priority": priority})
                    except httpx.TransportError:  # the server has ended between two of them
                        return
                    if answer.status_code != 200:
                        assert answer.status_code == 503
                        return
                    done.append(priority)

        done: list[int] = []
        work = threads.submit(change)
        while not done:
            time.sleep(0.01)  # until one is done and another one runs
        assert server.stop(signal.SIGTERM) == 0
        work.result()
        assert "Traceback" not in server.output
    with serving(folder, TODO_DATABASE_URL=many_todos) as (_, client):
        for priority in range(1, 10):
            found = client.get(f"/todos?limit=1&count=true&priority={priority}").headers["x-total-count"]
            assert found == (str(ROWS + 500) if priority == done[-1] else "0")


def test_the_log_is_short_again_after_a_large_change(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    fill(url, 3 * ROWS)
    log = Path(f"{url.removeprefix('sqlite:///')}-wal")
    with serving(folder, TODO_DATABASE_URL=url) as (_, client):
        longest = 0
        client.timeout = PATIENCE

        def watch() -> None:
            nonlocal longest
            while not end.is_set():
                longest = max(longest, log.stat().st_size if log.exists() else 0)
                end.wait(0.001)

        end = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            watching = threads.submit(watch)
            assert client.patch(f"/todos?{ALL}", json={"priority": 4}).status_code == 200
            deadline = time.monotonic() + PATIENCE
            while log.stat().st_size > 4 * 1024 * 1024 and time.monotonic() < deadline:
                assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
            end.set()
            watching.result()
        assert longest > 8 * 1024 * 1024
        assert log.stat().st_size <= 4 * 1024 * 1024


def test_a_disk_that_is_slow_to_flush_holds_up_writes_alone(folder: Path, sqlite_backend: SQLite) -> None:
    delay = "inject=fdatasync,fsync:delay_enter=300000"  # microseconds
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync", "-e", delay]
    with serving(folder, before=slow, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        client.post("/todos", json={"task": "Buy milk"})
        with ThreadPoolExecutor(1) as threads, httpx.Client(base_url=server.url, timeout=PATIENCE) as writer:
            work = threads.submit(writer.post, "/todos", json={"task": "Buy bread"})
            answers = answered_meanwhile(work, lambda: client.get("/todos/1"))

            assert work.result().status_code == 201
            assert {answer.status_code for answer in answers} == {200}
            assert len(answers) > 10


@pytest.fixture
def long_notes(backend: Backend, folder: Path) -> Iterator[tuple[Server, httpx.Client]]:
    """A server whose first page is the largest there is."""
    environment = {"TODO_DATABASE_URL": backend.migrated(), "TODO_REQUEST_TIMEOUT": "2"}
    with serving(folder, TODO_MAX_CONNECTIONS="3000", **environment) as (server, client):
        for _ in range(5):
            todos = [{"task": "x", "notes": "€" * 16_384}] * 20
            assert client.post("/todos/bulk", json=todos).status_code == 201
        yield server, client


GET_LARGEST = b"GET /todos?limit=500 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def memory(server: Server, name: str) -> int:
    """MiB of memory of the server: `VmRSS` now, `VmHWM` the most that it had."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) // 1024


def test_a_thousand_clients_that_do_not_read_take_little_memory(long_notes: tuple[Server, httpx.Client]) -> None:
    server, client = long_notes
    clients = []
    for _ in range(1000):
        connection = server.connect()
        connection.sendall(GET_LARGEST)
        clients.append(connection)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(time.sleep, 6)  # three times as long as a client may take
        assert {client.get("/livez").status_code for _ in iter(waiting.done, True)} == {200}
    assert memory(server, "VmHWM") < 400
    for connection in clients:
        connection.close()
    deadline = time.monotonic() + PATIENCE
    while memory(server, "VmRSS") > 250 and time.monotonic() < deadline:
        time.sleep(0.05)  # until the server has seen that they have gone
    assert memory(server, "VmRSS") <= 250
    while (answer := client.get("/todos?limit=500")).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)  # until what they asked for is done, or given up
    assert answer.status_code == 200


def test_a_client_that_reads_slowly_and_steadily_gets_its_answer(long_notes: tuple[Server, httpx.Client]) -> None:
    server, _ = long_notes
    with server.connect() as connection:
        connection.setsockopt(1, 8, 16_384)  # SOL_SOCKET, SO_RCVBUF
        connection.sendall(GET_LARGEST)
        received = connection.recv(65536)
        found = re.search(rb"content-length: (\d+)", received)
        assert found
        total = int(found[1])
        assert total > 3_000_000
        read = len(received.partition(b"\r\n\r\n")[2])
        while read < total:
            piece = connection.recv(8192)
            assert piece, f"cut after {read} of {total} bytes"
            read += len(piece)
            time.sleep(0.02)  # a slow line
    assert read == total


def test_the_file_is_whole_after_all_that(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    fill(url, ROWS)
    with serving(folder, TODO_DATABASE_URL=url, TODO_BULK_TIMEOUT="0.1") as (_, client):
        for _ in range(5):
            client.delete(f"/todos?{ALL}")
            client.get("/todos?q=zq&count=true")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM todo_items").fetchone() == (ROWS,)
