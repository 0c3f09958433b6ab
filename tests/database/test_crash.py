"""What was acknowledged is there after the processes were killed, again and again, while they wrote."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.databases import Backend, cluster
from tests.servers import PATIENCE, serving

pytestmark = pytest.mark.slow

KILLS = 10
WRITERS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that writes to the disk before it answers."""
    if request.param == "sqlite":
        backend: Backend = request.getfixturevalue("sqlite_backend")
        yield backend.empty()
    else:
        with cluster() as own:
            assert "on" in own.execute("SHOW fsync")
            yield own.url


class Writer:
    """Creates, changes and deletes until the server is gone; remembers what was acknowledged."""

    def __init__(self) -> None:
        self.created: list[int] = []
        self.kept: dict[int, str] = {}
        self.deleted: set[int] = set()
        self.unknown: set[int] = set()

    def run(self, url: str, started: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            while True:
                todo = 0
                try:
                    answer = client.post("/todos", json={"task": "created"})
                    assert answer.status_code == 201
                    todo = answer.json()["id"]
                    self.created.append(todo)
                    self.kept[todo] = "created"
                    if todo % 3:
                        assert client.put(f"/todos/{todo}", json={"task": "changed"}).status_code == 200
                        self.kept[todo] = "changed"
                    if todo % 3 == 1:
                        assert client.delete(f"/todos/{todo}").status_code == 204
                        self.deleted.add(todo)
                        del self.kept[todo]
                    started.set()
                except httpx.TransportError:
                    self.unknown.add(todo)  # its last write may have been made or not
                    return


def test_nothing_acknowledged_is_lost_by_kill_9(folder: Path, durable_url: str) -> None:
    writers = [Writer() for _ in range(WRITERS)]
    for _ in range(KILLS):
        with serving(folder, TODO_DATABASE_URL=durable_url) as (server, _), ThreadPoolExecutor(WRITERS) as threads:
            started = threading.Event()
            runs = [threads.submit(writer.run, server.url, started) for writer in writers]
            assert started.wait(PATIENCE)
            threading.Event().wait(0.3)  # under full load
            os.killpg(server.process.pid, signal.SIGKILL)
            for run in runs:
                run.result()

    created = [todo for writer in writers for todo in writer.created]
    assert len(created) > KILLS * WRITERS
    assert len(created) == len(set(created))  # no id was given twice
    unknown = {todo for writer in writers for todo in writer.unknown}
    with serving(folder, TODO_DATABASE_URL=durable_url) as (_, client):
        found: dict[int, str] = {}
        path = "/todos?limit=500"
        while path:
            answer = client.get(path)
            found |= {todo["id"]: todo["task"] for todo in answer.json()}
            path = answer.links["next"]["url"] if "next" in answer.links else ""
        for writer in writers:
            for todo, task in writer.kept.items():
                assert todo in unknown or found[todo] == task
            assert not writer.deleted & found.keys()
        assert client.post("/todos", json={"task": "x"}).json()["id"] > max(created)


def test_of_two_processes_one_may_die_in_the_midst_of_a_group(folder: Path, durable_url: str) -> None:
    """The other one goes on, and has every write that either has acknowledged."""
    for _ in range(3):
        with (
            serving(folder, TODO_DATABASE_URL=durable_url) as (first, _),
            serving(folder, TODO_DATABASE_URL=durable_url) as (_, other),
            ThreadPoolExecutor(2 * WRITERS) as threads,
        ):
            started = threading.Event()
            writers = [Writer() for _ in range(WRITERS)]
            runs = [threads.submit(writer.run, first.url, started) for writer in writers]
            assert started.wait(PATIENCE)
            beside = [threads.submit(other.post, "/todos", json={"task": "beside"}) for _ in range(100)]
            os.killpg(first.process.pid, signal.SIGKILL)
            for run in runs:
                run.result()

            assert {each.result().status_code for each in beside} == {201}
            for writer in writers:
                for todo, task in writer.kept.items():
                    if todo not in writer.unknown:
                        assert other.get(f"/todos/{todo}").json()["task"] == task
                for todo in writer.deleted:
                    assert other.get(f"/todos/{todo}").status_code == 404


def test_each_acknowledged_write_is_flushed_to_the_disk_once(folder: Path, sqlite_backend: Backend) -> None:
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        client.post("/todos", json={"task": "x"})
        trace = folder / "trace"
        command = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(server.process.pid)]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert strace.stderr
        strace.stderr.readline()  # it is attached
        for number in range(50):
            client.put("/todos/1", json={"task": f"task {number}"})
            client.get("/todos/1")
        strace.terminate()
        strace.wait(PATIENCE)
        strace.stderr.close()

    assert len(re.findall(r"f(?:data)?sync\(", trace.read_text())) == 50
