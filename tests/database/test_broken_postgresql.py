"""A PostgreSQL server that breaks while the API runs: 503, one line in the log, and recovery by itself."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from math import inf
from pathlib import Path
from select import select
from socketserver import BaseRequestHandler, ThreadingTCPServer

import asyncpg
import httpx2 as httpx
import pytest
from sqlalchemy import make_url

from tests.applications import as_owner
from tests.databases import Cluster, cluster
from tests.servers import PATIENCE, Server, at_once, serving

pytestmark = pytest.mark.slow

TIMEOUT = 2
"""Seconds of TODO_DATABASE_TIMEOUT here, so that the tests are short."""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Cluster]:
    with cluster() as own:
        yield own


@pytest.fixture
def served(folder: Path, postgresql: Cluster) -> Iterator[tuple[Server, httpx.Client]]:
    postgresql.execute("TRUNCATE todo_items, deleted_todos RESTART IDENTITY")
    environment = {"TODO_DATABASE_URL": postgresql.url, "TODO_DATABASE_TIMEOUT": str(TIMEOUT)}
    with serving(folder, **environment) as (server, client):
        client.post("/todos", json={"task": "Buy milk"})
        yield server, client


def reads_and_writes(client: httpx.Client) -> list[httpx.Response]:
    """More requests at once than the pool has connections."""
    methods = ["GET", "PUT"] * 12
    with ThreadPoolExecutor(len(methods)) as threads:
        return list(threads.map(lambda method: client.request(method, "/todos/1", json={}), methods))


def check_refusals(answers: list[httpx.Response], server: Server) -> None:
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.elapsed.total_seconds() < TIMEOUT + 2  # and not for ever
        server.wait_until_said(answer.headers["x-request-id"])
        assert server.output.count(answer.headers["x-request-id"]) == 1
    assert "Traceback" not in server.output


def check_health(client: httpx.Client, status: int) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == status


def check_recovery(client: httpx.Client) -> None:
    assert {answer.status_code for answer in reads_and_writes(client)} == {200}
    check_health(client, 200)


def test_a_stopped_server(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    server, client = served
    check_recovery(client)
    postgresql.stop()
    try:
        check_refusals(reads_and_writes(client), server)
        check_health(client, 503)
    finally:
        postgresql.start()
    check_recovery(client)


def test_a_stopped_server_when_callers_have_tokens(folder: Path, postgresql: Cluster) -> None:
    environment = {"TODO_DATABASE_URL": postgresql.url, "TODO_DATABASE_TIMEOUT": str(TIMEOUT), "TODO_AUTH": "token"}
    with serving(folder, **environment) as (server, client):
        client.headers.update(as_owner(postgresql.url, "alice"))
        client.post("/todos", json={"task": "Buy milk"})
        reads_and_writes(client)
        postgresql.stop()
        try:
            check_refusals(reads_and_writes(client), server)
        finally:
            postgresql.start()
        assert {answer.status_code for answer in reads_and_writes(client)} <= {200, 404}


def test_a_restarted_server(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    for _ in range(3):
        postgresql.restart()
        check_recovery(served[1])


def test_what_has_not_begun_waits_for_a_server_that_is_away_for_a_moment(folder: Path, postgresql: Cluster) -> None:
    postgresql.execute("TRUNCATE todo_items, deleted_todos RESTART IDENTITY")
    environment = {"TODO_DATABASE_URL": postgresql.url, "TODO_DATABASE_TIMEOUT": str(PATIENCE)}
    with serving(folder, **environment) as (server, client), ThreadPoolExecutor(1) as thread:
        client.post("/todos", json={"task": "Buy milk"})
        for take_away in (postgresql.stop, postgresql.restart):
            check_recovery(client)
            take_away()  # the connections of the pool are ended
            answers = thread.submit(reads_and_writes, client)
            if take_away == postgresql.stop:
                with pytest.raises(TimeoutError):
                    answers.result(TIMEOUT / 4)
                postgresql.start()
            assert {answer.status_code for answer in answers.result()} == {200}
        assert " 503 " not in server.output


def test_a_paused_server(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    server, client = served
    check_recovery(client)
    with postgresql.paused():
        for _ in range(2):
            check_refusals(reads_and_writes(client), server)
            check_health(client, 503)
    check_recovery(client)


class Line(ThreadingTCPServer):
    """A line to the server, whose connections may go dead: nothing more comes through, and nobody is told."""

    daemon_threads = True
    request_queue_size = 128
    left: float = inf
    """How many times more the application says something before the connection on which it does so goes dead."""

    def __init__(self, postgresql: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        url = make_url(postgresql.url)
        self.far = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
        near = url.set(host="127.0.0.1", port=self.server_address[1], query={})
        self.url = near.render_as_string(hide_password=False)


class Connection(BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as far, suppress(OSError):
            far.connect(self.server.far)
            others = {self.request: far, far: self.request}
            while True:
                for end in select(list(others), [], [])[0]:
                    if not (said := end.recv(65536)):
                        return
                    if end is self.request:
                        self.server.left -= 1
                        if self.server.left == -1:
                            while self.request.recv(65536):
                                pass  # until the application gives it up
                            return
                    others[end].sendall(said)


@pytest.fixture
def line(postgresql: Cluster) -> Iterator[Line]:
    with Line(postgresql) as line, ThreadPoolExecutor(1) as thread:
        thread.submit(line.serve_forever)
        yield line
        line.shutdown()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/todos/1", 200, id="a read"),
        pytest.param("PUT", "/todos/1", 200, id="a write"),
        pytest.param("PUT", "/todos/99", 404, id="a write that is undone"),
    ],
)
def test_a_connection_that_goes_dead_in_the_midst_of_a_request(
    folder: Path, postgresql: Cluster, line: Line, method: str, path: str, status: int
) -> None:
    postgresql.execute("TRUNCATE todo_items, deleted_todos RESTART IDENTITY")
    with serving(folder, TODO_DATABASE_URL=line.url, TODO_DATABASE_TIMEOUT=str(TIMEOUT)) as (server, client):
        client.post("/todos", json={"task": "Buy milk"})
        for step in count():
            for number in range(2):
                assert client.request(method, path, json={"priority": number}).status_code == status
            line.left = step
            answer = client.request(method, path, json={"priority": 2}, timeout=PATIENCE)
            if line.left >= 0:
                break
            if answer.status_code != status:  # what was lost at its end is done after all
                check_refusals([answer], server)
        assert step >= 1
        line.left = inf
        check_recovery(client)


def test_killed_connections(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    for _ in range(5):
        postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'todo_api'")
        check_recovery(served[1])


def test_a_server_that_turns_read_only(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    server, client = served
    postgresql.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    postgresql.restart()  # as one that stands by for another, or whose disk is full
    try:
        refused = [client.put("/todos/1", json={}), client.post("/todos", json={"task": "x"})]
        check_refusals(refused, server)
        assert {answer.json()["detail"] for answer in refused} == {"The database can only be read at the moment."}
        assert client.get("/todos/1").json()["task"] == "Buy milk"
        check_health(client, 200)
    finally:
        postgresql.execute("ALTER SYSTEM RESET ALL")
        postgresql.restart()
    check_recovery(client)


@pytest.fixture
def few_connections(postgresql: Cluster) -> Iterator[None]:
    """The server has 20 connections, which is what the application may use and some more."""
    postgresql.execute("ALTER SYSTEM SET max_connections = 20")
    postgresql.execute("ALTER SYSTEM SET superuser_reserved_connections = 0")
    postgresql.restart()
    yield
    postgresql.execute("ALTER SYSTEM RESET ALL")
    postgresql.restart()


@pytest.mark.usefixtures("few_connections")
def test_a_server_whose_connections_are_all_taken(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    server, client = served
    postgresql.restart()  # which frees those of the application, for others to take

    async def ask_while_full() -> None:
        holders = []
        try:
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    holders.append(await asyncpg.connect(postgresql.url))
            assert len(holders) == 20
            for _ in range(2):
                check_refusals(await asyncio.to_thread(reads_and_writes, client), server)
                await asyncio.to_thread(check_health, client, 503)
        finally:
            for holder in holders:
                await holder.close()

    asyncio.run(ask_while_full())
    check_recovery(client)


def test_requests_wait_when_a_role_may_have_few_connections(folder: Path, postgresql: Cluster) -> None:
    role = "DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN CONNECTION LIMIT 3; GRANT ALL ON todo_items, owners TO few;"
    postgresql.execute(f"{role} GRANT SELECT ON alembic_version TO few; GRANT ALL ON SEQUENCE todo_items_id_seq TO few")
    url = postgresql.url.replace("//postgres:", "//few:")
    with serving(folder, "uvicorn", "todo_api.main:app", "--port", "0", TODO_DATABASE_URL=url) as (_, client):

        async def ask_while_full() -> list[httpx.Response]:
            holders = [await asyncpg.connect(url) for _ in range(2)]
            try:
                return await asyncio.to_thread(reads_and_writes, client)
            finally:
                for holder in holders:
                    await holder.close()

        assert client.post("/todos", json={"task": "x"}).status_code == 201
        answers = asyncio.run(ask_while_full())
        assert {answer.status_code for answer in answers} <= {200, 404}
        assert client.get("/todos?limit=1").status_code == 200


def test_what_was_done_when_the_time_is_up_is_answered_as_done(folder: Path, postgresql: Cluster) -> None:
    postgresql.execute("TRUNCATE todo_items, deleted_todos RESTART IDENTITY")
    with serving(folder, TODO_DATABASE_URL=postgresql.url, TODO_DATABASE_TIMEOUT="0.05") as (_, client):
        statuses: Counter[int] = Counter()
        for _ in range(6):
            answers = at_once(client, [("POST", "/todos", {"task": "x"})] * 150)
            statuses.update(answer.status_code for answer in answers)

        assert statuses.keys() <= {201, 503}
        kept = postgresql.execute("COPY (SELECT count(*) FROM todo_items) TO STDOUT")
        assert int(kept) == statuses[201]


def test_a_statement_that_takes_too_long(postgresql: Cluster, served: tuple[Server, httpx.Client]) -> None:
    server, client = served
    postgresql.execute("ALTER TABLE todo_items RENAME TO hidden")
    postgresql.execute("CREATE VIEW todo_items AS SELECT hidden.* FROM hidden, pg_sleep(60)")
    try:
        check_refusals([client.get("/todos/1")], server)
    finally:
        postgresql.execute("DROP VIEW todo_items")
        postgresql.execute("ALTER TABLE hidden RENAME TO todo_items")
    check_recovery(client)
