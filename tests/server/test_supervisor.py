"""Workers and their supervisor: either of them may be killed."""

import asyncio
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx2 as httpx
import psutil
import pytest

from tests.database.test_migrations import execute
from tests.databases import Backend, SQLite, cluster
from tests.server.test_workers import Writers
from tests.servers import PATIENCE, Server, serving

pytestmark = pytest.mark.slow

COMMAND = ("todo_api", "--port", "0", "--workers", "2")


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def check_end_of(workers: list[psutil.Process], server: Server) -> None:
    """The workers end by themselves, and leave the port to others."""
    assert psutil.wait_procs(workers, PATIENCE)[1] == []
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(server.address)
        other.listen()


def test_workers_end_when_their_supervisor_is_killed_and_nothing_acknowledged_is_lost(
    folder: Path, backend: Backend
) -> None:
    url = backend.migrated()
    with serving(folder, *COMMAND, TODO_DATABASE_URL=url) as (server, _):
        writers, workers = Writers(server), workers_of(server)
        with suppress(httpx.TransportError), writers.at_work():  # for the writers, there is no server any more
            writers.wait_until_all_are_told(201)
            server.process.kill()
            check_end_of(workers, server)

    kept = {task for (task,) in execute(url, "SELECT task FROM todo_items")}
    assert len(workers) == 2
    assert writers.acknowledged[0] <= kept
    assert writers.statuses() <= {201, 503}


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else writes: the changes of others wait."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            yield
        return
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        runner.run(connection.execute("BEGIN; LOCK TABLE todo_items IN EXCLUSIVE MODE"))
        yield
        runner.run(connection.close())


def test_a_change_of_many_that_is_under_way_when_the_supervisor_is_killed_is_undone(
    folder: Path, backend: Backend
) -> None:
    url = backend.migrated()
    environment = {"TODO_DATABASE_URL": url, "TODO_DATABASE_TIMEOUT": "30"}
    with serving(folder, *COMMAND, **environment) as (server, client), ThreadPoolExecutor(1) as thread:
        client.post("/todos/bulk", json=[{"task": "a"}, {"task": "b"}])
        workers = workers_of(server)
        with locked(url):
            answer = thread.submit(client.patch, "/todos?complete=false", json={"priority": 1})
            with pytest.raises(TimeoutError):
                answer.result(1)  # it waits
            server.process.kill()
            check_end_of(workers, server)
        assert answer.result().status_code == 503

    assert execute(url, "SELECT priority FROM todo_items") == [(0,), (0,)]


def check_that_a_worker_comes_back(server: Server, client: httpx.Client, before: list[psutil.Process]) -> None:
    while len([worker for worker in workers_of(server) if worker.status() != psutil.STATUS_ZOMBIE]) < 2:
        assert server.process.poll() is None
        time.sleep(0.05)  # between two looks: nothing tells of a worker that starts
    assert before[1] in workers_of(server)  # it was well all the time
    assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
    assert server.stop() == 0


def test_a_worker_that_dies_while_the_file_is_away_is_started_again_when_it_is_back(
    folder: Path, sqlite_backend: SQLite
) -> None:
    database = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    with serving(folder, *COMMAND, TODO_DATABASE_URL=f"sqlite:///{database}") as (server, client):
        assert client.get("/todos").status_code == 200
        server.wait_until_said("Application startup complete", 2)
        before = workers_of(server)
        database.rename(folder / "away.db")
        before[0].kill()
        server.wait_until_said("the next one starts in 2 s")
        assert client.get("/livez").status_code == 200
        (folder / "away.db").rename(database)

        check_that_a_worker_comes_back(server, client, before)


def test_a_worker_that_dies_while_postgresql_is_away_is_started_again_when_it_is_back(folder: Path) -> None:
    with cluster() as postgresql, serving(folder, *COMMAND, TODO_DATABASE_URL=postgresql.url) as (server, client):
        server.wait_until_said("Application startup complete", 2)
        before = workers_of(server)
        postgresql.stop()
        before[0].kill()
        server.wait_until_said("the next one starts in 2 s")
        assert client.get("/livez").status_code == 200
        postgresql.start()

        check_that_a_worker_comes_back(server, client, before)
