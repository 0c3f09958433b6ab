"""Two processes that serve one SQLite file: each of them sees what becomes of it, and nothing acknowledged is lost."""

import itertools
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.databases import SQLite
from tests.servers import PATIENCE, Server, serving

pytestmark = pytest.mark.slow

WRITERS = 16
REPLACED = 20
"""How often the file becomes another one."""


class Writers:
    """Clients that create todos, over a new connection each time, and what they were answered in each stage.

    Of 16 connections that are kept, all may be one worker's.
    """

    def __init__(self, server: Server) -> None:
        self._url = server.url
        self._ended = threading.Event()
        self.stage = 0
        self.acknowledged: defaultdict[int, set[str]] = defaultdict(set)
        self._statuses: defaultdict[tuple[int, int], set[int]] = defaultdict(set)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(WRITERS) as threads:
            runs = [threads.submit(self._run, number) for number in range(WRITERS)]
            try:
                yield
            finally:
                self._ended.set()
            for run in runs:
                run.result()

    def _run(self, writer: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=self._url, timeout=PATIENCE, limits=limits) as client:
            for number in itertools.takewhile(lambda _: not self._ended.is_set(), itertools.count()):
                stage = self.stage  # of the begin: what is answered may have been done before the next change
                task = f"{number} of {writer} in stage {stage}"
                status = client.post("/todos", json={"task": task}).status_code
                self._statuses[stage, writer].add(status)
                if status == 201:
                    self.acknowledged[stage].add(task)

    def wait_until_all_are_told(self, status: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not all(status in self._statuses[self.stage, writer] for writer in range(WRITERS)):
            assert time.monotonic() < deadline, dict(self._statuses)
            time.sleep(0.01)  # between two looks

    def statuses(self) -> set[int]:
        return set().union(*self._statuses.values())


def connected_processes(server: Server) -> int:
    workers = psutil.Process(server.process.pid).children(recursive=True)
    return sum(any(each.status == "ESTABLISHED" for each in worker.net_connections()) for worker in workers)


def tasks(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {task for (task,) in connection.execute("SELECT task FROM todo_items")}


def test_both_see_that_the_file_is_replaced_and_that_it_is_deleted(folder: Path, sqlite_backend: SQLite) -> None:
    files = [Path(sqlite_backend.migrated().removeprefix("sqlite:///")) for _ in range(REPLACED)]
    kept = [folder / f"{number}.db" for number in range(REPLACED)]
    for file, name in zip(files, kept, strict=True):
        name.hardlink_to(file)  # another name, when it has lost its own
    database, *others = files
    command = ("todo_api", "--port", "0", "--workers", "2")
    with serving(folder, *command, TODO_DATABASE_URL=f"sqlite:///{database}") as (server, _):
        writers = Writers(server)
        with writers.at_work():
            writers.wait_until_all_are_told(201)
            deadline = time.monotonic() + PATIENCE
            while connected_processes(server) < 2:
                assert time.monotonic() < deadline
            for number, other in enumerate(others, 1):
                other.rename(database)
                writers.stage = number
                writers.wait_until_all_are_told(201)
            for suffix in ("", "-wal", "-shm"):
                Path(f"{database}{suffix}").unlink()
            writers.stage = REPLACED
            writers.wait_until_all_are_told(503)
        assert writers.statuses() == {201, 503}
        assert server.stop() == 0
        assert "Traceback" not in server.output

    assert not database.exists()
    found = [tasks(file) for file in kept]
    for number in range(REPLACED):
        acknowledged = writers.acknowledged[number]
        assert acknowledged <= set().union(*found[number:])  # begun just before the next change: done after it, perhaps
        assert not acknowledged & set().union(*found[:number])
    assert writers.acknowledged[REPLACED] == set()
