"""What a second process brings: two workers on SQLite, two servers behind haproxy on PostgreSQL, next to one.

The cores of a small machine also hold wrk, haproxy and PostgreSQL. So each process has the same small share of a core,
and finds it free, as on a machine with a core for each. What writes to SQLite has all it can get: who has to pause
while it has the file's lock keeps all others waiting.
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
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import psutil

from tests.benchmark.load import run
from tests.benchmark.rows import fill
from tests.benchmark.speed import SCRIPT, WORK, migrated
from tests.servers import PATIENCE, Server, proxy, serving

SHARE = 0.2
"""Of a core, for each process."""
PERIOD = 10_000
"""Microseconds in which a process has its share."""
GROUPS = Path("/sys/fs/cgroup")
"""The control groups of Linux, of version 1 or 2."""
ROWS = 10_000
CREATORS = 8
"""Clients that create todos while a process is stopped."""
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
                script.write_text(SCRIPT.replace("REQUEST", work.request))
                free = database == "sqlite" and work.name in WRITES
                with nullcontext() if free else _limited(running.pids):
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
def _limited(pids: Sequence[int]) -> Iterator[None]:
    """Give each process its share of a core, by a control group of its own."""
    is_second = (GROUPS / "cgroup.controllers").exists()
    parent = GROUPS if is_second else GROUPS / "cpu"
    quota = f"{SHARE * PERIOD:.0f}"
    with ExitStack() as stack:
        try:
            if is_second:
                (GROUPS / "cgroup.subtree_control").write_text("+cpu")
            for pid in pids:
                group = parent / f"todo_api_{pid}"
                group.mkdir()
                stack.callback(group.rmdir)
                if is_second:
                    (group / "cpu.max").write_text(f"{quota} {PERIOD}")
                else:
                    (group / "cpu.cfs_period_us").write_text(str(PERIOD))
                    (group / "cpu.cfs_quota_us").write_text(quota)
                (group / "cgroup.procs").write_text(str(pid))
                stack.callback((parent / "cgroup.procs").write_text, str(pid))
        except OSError as error:
            raise SystemExit(
                f"tests.benchmark: a process can't be given its share of a core, as root can: {error}"
            ) from None
        yield


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
        time.sleep(seconds)  # in which todos are created
        os.kill(running.pids[0], signal.SIGTERM)
        before = len(created)
        time.sleep(seconds)  # the same, by the other process alone
        ended.set()
        for each in runs:
            each.result()
        with httpx.Client(base_url=running.url, timeout=PATIENCE) as client:
            lost = sum(client.get(f"/todos/{number}").status_code != 200 for number in created)
    told = f"{before:,} todos created, one of two processes stopped, {len(created) - before:,} more created"
    return f"{told}; {lost} of them lost, {len(refused)} requests refused or not answered {refused or ''}".rstrip()
