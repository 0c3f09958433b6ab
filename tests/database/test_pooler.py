"""PgBouncer, from the Debian package, in front of PostgreSQL: the API behaves as without it."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.database.test_installed_postgresql import check_walk_through
from tests.databases import migrate
from tests.debian import USER, Installed, installed, open_folder
from tests.servers import PATIENCE, Server, at_once, run, serving
from todo_api.__main__ import free_port

pytestmark = pytest.mark.slow

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={port} user=postgres password=hunter2
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
max_client_conn = 200
default_pool_size = {size}
server_login_retry = 1
"""


class Pooler:
    """A PgBouncer that can be stopped and started."""

    def __init__(self, folder: Path, postgresql: Installed, mode: str) -> None:
        self.mode = mode
        self.postgresql = postgresql
        self.port = free_port("127.0.0.1")
        self._folder = folder
        # In session mode, each connection of the application has one of the server as long as it lives.
        text = CONFIGURATION.format(
            port=postgresql.port,
            listen=self.port,
            mode=mode,
            size=3 if mode == "transaction" else 60,
        )
        (folder / "pgbouncer.ini").write_text(text)
        option = "?pooler=transaction" if mode == "transaction" else ""
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres{option}"

    def start(self) -> None:
        self._process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", "pgbouncer.ini"], cwd=self._folder, user=USER)
        while True:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)  # between two looks

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Installed]:
    with installed("--locale=C.UTF-8") as server:
        migrate(server.url, "upgrade", "head")
        yield server


@pytest.fixture(params=["session", "transaction"])
def pooler(request: pytest.FixtureRequest, postgresql: Installed) -> Iterator[Pooler]:
    postgresql.psql("TRUNCATE todo_items, deleted_todos, kept_answers, owners, access_tokens RESTART IDENTITY")
    with open_folder() as folder:
        pooler = Pooler(folder, postgresql, request.param)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


@contextmanager
def two_processes(folder: Path, pooler: Pooler, **environment: str) -> Iterator[list[tuple[Server, httpx.Client]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(folder, TODO_DATABASE_URL=pooler.url, **environment)) for _ in range(2)]


def test_the_whole_contract_holds_behind_a_pooler(folder: Path, pooler: Pooler) -> None:
    with two_processes(folder, pooler) as processes:
        for _, client in processes:
            check_walk_through(client)
        (server, client), (_, other) = processes
        ids = [client.post("/todos", json={"task": f"Task {number}"}).json()["id"] for number in range(30)]
        with ThreadPoolExecutor(12) as threads:
            calls = [
                call
                for number, todo in enumerate(ids * 3)
                for call in (
                    ("GET", f"/todos/{todo}", None),
                    ("PATCH", f"/todos/{todo}", {"priority": number % 4}),
                    ("POST", f"/todos/{todo}/move", {"to": "top"}),
                    ("GET", "/todos?q=task&sort=-priority", None),
                    ("POST", "/todos", {"task": "More", "tags": ["a"]}),
                    ("GET", "/todos?tag=a&count=true&limit=2", None),
                )
            ]
            answers = list(
                threads.map(
                    lambda call: processes[hash(call[1]) % 2][1].request(call[0], call[1], json=call[2]),
                    calls,
                )
            )

        assert {answer.status_code for answer in answers} <= {200, 201}
        todo = client.get(f"/todos/{ids[0]}")
        changes = at_once(other, [("PATCH", f"/todos/{ids[0]}", {"task": f"{n}"}) for n in range(12)])
        assert {answer.status_code for answer in changes} == {200}
        assert client.get(f"/todos/{ids[0]}").json()["version"] == todo.json()["version"] + 12
        assert " 500 " not in server.output


def test_an_owner_with_a_token_is_served_behind_a_pooler(folder: Path, pooler: Pooler) -> None:
    made = run("todo_api", "token", "create", "alice", TODO_DATABASE_URL=pooler.url)
    assert made.returncode == 0, made.stderr
    with serving(folder, TODO_DATABASE_URL=pooler.url, TODO_AUTH="token") as (_, client):
        client.headers["authorization"] = f"Bearer {made.stdout.strip()}"
        check_walk_through(client)


def test_a_statement_that_takes_too_long_is_ended_behind_a_pooler(folder: Path, pooler: Pooler) -> None:
    postgresql = pooler.postgresql
    with serving(folder, TODO_DATABASE_URL=pooler.url, TODO_DATABASE_TIMEOUT="1") as (server, client):
        client.post("/todos", json={"task": "x"})
        postgresql.psql("ALTER TABLE todo_items RENAME TO hidden")
        postgresql.psql("CREATE VIEW todo_items AS SELECT hidden.* FROM hidden, pg_sleep(60)")
        try:
            assert {client.get("/todos/1").status_code, client.put("/todos/1", json={}).status_code} == {503}
            running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%todo_items%'"
            while postgresql.psql(f"{running} AND pid <> pg_backend_pid()") != "0":
                time.sleep(0.01)  # between two looks
        finally:
            postgresql.psql("DROP VIEW todo_items")
            postgresql.psql("ALTER TABLE hidden RENAME TO todo_items")
        assert client.get("/todos/1").status_code == 200
        assert client.put("/todos/1", json={"priority": 1}).status_code == 200
        assert " 500 " not in server.output


def ask(client: httpx.Client, number: int) -> int:
    if number % 2:
        return client.post("/todos", json={"task": f"{number}"}).status_code
    return client.get("/todos?limit=3").status_code


def test_an_outage_of_the_pooler_or_of_the_server_behind_it_is_never_a_fault(folder: Path, pooler: Pooler) -> None:
    with two_processes(folder, pooler) as processes, ThreadPoolExecutor(8) as threads:
        for break_it in (pooler.stop, pooler.postgresql.restart):
            asked = [threads.submit(ask, processes[number % 2][1], number) for number in range(400)]
            break_it()
            if break_it == pooler.stop:
                pooler.start()
            statuses = [each.result() for each in asked]
            assert set(statuses) <= {200, 201, 503}
            assert statuses.count(503) <= 16  # at the most what was under way, twice
            assert {ask(client, number) for _, client in processes for number in range(8)} <= {200, 201}
        assert all(" 500 " not in server.output for server, _ in processes)


def test_the_other_name_of_the_option_means_the_same(folder: Path, pooler: Pooler) -> None:
    if pooler.mode == "session":
        url = f"{pooler.url}?pgbouncer=false"
    else:
        url = pooler.url.replace("pooler=transaction", "pgbouncer=true")
    for _ in range(2):  # the second start finds what the first one left
        with serving(folder, TODO_DATABASE_URL=url) as (_, client):
            check_walk_through(client)
