"""What a second process brings: two workers on SQLite, two servers behind haproxy on PostgreSQL, next to one.

The cores of a small machine also hold wrk, haproxy and PostgreSQL. So each process has the same small share of a core,
and finds it free, as on a machine with a core for each. What writes to SQLite has all it can get: who is stopped while
it has the file's lock keeps all others waiting.
"""

import os
import shutil
import signal
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import psutil

from tests.benchmark.load import run
from tests.benchmark.rows import fill
from tests.benchmark.speed import SCRIPT, WORK, migrated
from tests.servers import PATIENCE, Server, proxy, serving

SHARE = 0.1
"""Of a core, for each process."""
LOOK = 0.02
"""Seconds between two looks at what a process has had; who is stopped more often does more work for each request."""
ROWS = 10_000
CREATORS = 8
"""Clients that create todos while a process is stopped."""
CONNECT_FIRST = """local begun = 0
delay = function()
  begun = begun + 1
  return begun > CLIENTS and 0 or 200
end
"""
"""Milliseconds before a client's first request: a process that is stopped already would get none of the connections."""
MEASURED = ("get one", "list 50", "update", "create")
WRITES = ("update", "create")


class Running(NamedTuple):
    """Where a database is served, and by which processes."""

    url: str
    pids: list[int]


def main(options: Namespace) -> None:
    for name in ("wrk", "haproxy"):
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            raise SystemExit(f"tests.benchmark: {name} is missing; on Debian: apt-get install {name}")
    print(f"Each process has {SHARE:.0%} of a core, but what it can get for what writes to SQLite.\n")
    print("| | clients | request | one: requests/s | p99 ms | two: requests/s | p99 ms | ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    notes = []
    for database in options.databases:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = stack.enter_context(migrated(database, folder))
            fill(url, ROWS)
            _compare(database, url, folder, options)
            notes.append(f"{database}: {_stop_one(database, url, folder, options.seconds)}")
    print("", *notes, sep="\n")


def _compare(database: str, url: str, folder: Path, options: Namespace) -> None:
    """Print the rate of each kind of request with one process and with two."""
    script = folder / "requests.lua"
    costs = {}
    for count in (1, 2):
        with _serving(database, url, folder, count) as running:
            for work in (work for work in WORK if work.name in MEASURED):
                text = SCRIPT.replace("REQUEST", work.request) + CONNECT_FIRST.replace("CLIENTS", str(options.clients))
                script.write_text(text)
                free = database == "sqlite" and work.name in WRITES
                with _limited(running.pids, 1 if free else SHARE):
                    arguments = (script, running.url, options.clients, options.seconds)
                    costs[work.name, count] = run(running.pids[0], *arguments)
    for name in MEASURED:
        one, two = costs[name, 1], costs[name, 2]
        failed = max(one.failed, two.failed)
        print(
            f"| {database} | {options.clients} | {name}{f' ({failed:.0%} failed)' if failed else ''}"
            f" | {one.rate:,.0f} | {one.p99:.0f} | {two.rate:,.0f} | {two.p99:.0f} | {two.rate / one.rate:.2f} |",
            flush=True,
        )


@contextmanager
def _serving(database: str, url: str, folder: Path, count: int) -> Iterator[Running]:
    environment = {"TODO_DATABASE_URL": url, "TODO_LOG_LEVEL": "info"}
    with ExitStack() as stack:
        if database == "sqlite":
            command = ("todo_api", "--port", "0", "--workers", str(count))
            server, _ = stack.enter_context(serving(folder, *command, **environment))
            yield Running(server.url, _workers(server, count))
        else:
            servers = [stack.enter_context(serving(folder, **environment))[0] for _ in range(count)]
            at = stack.enter_context(proxy(folder, *servers))
            yield Running(at, [server.process.pid for server in servers])


def _workers(server: Server, count: int) -> list[int]:
    """The processes that serve."""
    first = psutil.Process(server.process.pid)
    if count == 1:
        return [first.pid]
    deadline = time.monotonic() + PATIENCE
    while server.output.count("Application startup complete") < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"tests.benchmark: {count} processes did not come up:\n{server.output}")
        time.sleep(0.05)  # between two looks
    return [each.pid for each in first.children() if "resource_tracker" not in " ".join(each.cmdline())]


@contextmanager
def _limited(pids: Sequence[int], share: float) -> Iterator[None]:
    """Stop each process whenever it has had more than its share of a core."""
    ended = threading.Event()

    def watch() -> None:
        started, before = time.monotonic(), {pid: _seconds_of_cpu(pid) for pid in pids}
        while not ended.wait(LOOK):
            allowed = (time.monotonic() - started) * share
            for pid in pids:
                spent = _seconds_of_cpu(pid) - before[pid]
                os.kill(pid, signal.SIGSTOP if spent > allowed else signal.SIGCONT)

    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watch)
        try:
            yield
        finally:
            ended.set()
            watching.result()
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def _seconds_of_cpu(pid: int) -> float:
    """Of the one thread that serves."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _stop_one(database: str, url: str, folder: Path, seconds: float) -> str:
    """Stop one of two processes while clients create todos: how many there were, and what became of them."""
    created: list[int] = []
    refused: list[str] = []
    ended = threading.Event()

    def create(at: str) -> None:
        with httpx.Client(base_url=at, timeout=PATIENCE) as client:
            while not ended.is_set():
                try:
                    answer = client.post("/todos", json={"task": "buy milk and eggs"})
                except httpx.TransportError as error:
                    refused.append(type(error).__name__)
                    continue
                if answer.status_code == 201:
                    created.append(answer.json()["id"])
                else:
                    refused.append(str(answer.status_code))

    with _serving(database, url, folder, 2) as running, ThreadPoolExecutor(CREATORS) as threads:
        runs = [threads.submit(create, running.url) for _ in range(CREATORS)]
        time.sleep(seconds)
        os.kill(running.pids[0], signal.SIGTERM)
        before = len(created)
        time.sleep(seconds)
        ended.set()
        for each in runs:
            each.result()
        with httpx.Client(base_url=running.url, timeout=PATIENCE) as client:
            lost = sum(client.get(f"/todos/{number}").status_code != 200 for number in created)
    told = f"{before:,} todos created, one of two processes stopped, {len(created) - before:,} more created"
    return f"{told}; {lost} of them lost, {len(refused)} requests refused or not answered {refused or ''}".rstrip()
