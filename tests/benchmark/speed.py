"""What each kind of request costs: the real server, driven by wrk, beside the floor in the same run."""

import os
import platform
import re
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
from sqlalchemy import make_url

from tests.benchmark.load import pin, run
from tests.benchmark.rows import UNCOMMON, fill
from tests.databases import SQLite, postgresql
from tests.servers import PATIENCE, Server, starting
from todo_api.__main__ import free_port

HOST = "127.0.0.1"
DELETES = 6000
"""Todos that are there to be deleted, for each second: more than can be."""


class Work(NamedTuple):
    """One kind of request, as wrk's script has it."""

    name: str
    request: str
    """The arguments of `wrk.format`, where `id` is another one of 1,000 each time and `n` counts up from 0."""


JSON = '{["content-type"]="application/json"}'
WORK = (
    Work("get one", '"GET", "/todos/" .. id'),
    Work("304", '"GET", "/todos/" .. id, {["if-none-match"]="*"}'),
    Work("list 50", '"GET", "/todos?limit=50"'),
    Work("page 1,000", '"GET", "/todos?DEEP"'),
    Work("filtered", '"GET", "/todos?limit=50&complete=false"'),
    Work("searched", f'"GET", "/todos?limit=50&q={UNCOMMON}"'),
    Work(
        "update", f'"PUT", "/todos/" .. id, {JSON}, n % 2 == 0 and \'{{"complete":true}}\' or \'{{"complete":false}}\''
    ),
    Work("create", f'"POST", "/todos", {JSON}, \'{{"task":"buy milk and eggs"}}\''),
    Work(
        "create with a key",
        '"POST", "/todos", {["content-type"]="application/json", ["idempotency-key"]=os.time() .. "-" .. n},'
        ' \'{"task":"buy milk and eggs"}\'',
    ),
    Work("delete", '"DELETE", "/todos/" .. (FIRST + n)'),
)

SCRIPT = """local n = -1
request = function()
  n = n + 1
  local id = n * 7919 % 1000 + 1
  return wrk.format(REQUEST)
end
"""


def main(options: Namespace) -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("tests.benchmark: wrk is missing; on Debian: apt-get install wrk")
    print(f"{date.today()}, Python {platform.python_version()}, {_processor()}, {os.cpu_count()} cores;")
    print("CPU is the server's own, in microseconds for a request; PostgreSQL's is not in it.")
    for count in options.rows:
        print(f"\n{count:,} todos\n")
        print("| | clients | request | CPU µs | requests/s | p50 ms | p99 ms | memory MiB |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for database in options.databases:
                with migrated(database, folder) as url:
                    fill(url, count)
                    with _product(folder, url) as (server, client):
                        deep = _deep_page(client)
                        _measure(database, server.process.pid, client, deep, url, folder, options)
                    if database == "sqlite":
                        with _floor(folder, url) as (server, client):
                            _measure("floor", server.process.pid, client, deep, url, folder, options)


@contextmanager
def migrated(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield SQLite(folder).migrated()
        return
    with postgresql() as backend:
        yield backend.migrated()


@contextmanager
def _product(folder: Path, url: str) -> Iterator[tuple[Server, httpx.Client]]:
    # From info on a line is logged for each request, which is the cost of the terminal.
    port = free_port(HOST)
    command = ("todo_api", "--port", str(port))
    with starting(folder, *command, TODO_DATABASE_URL=url, TODO_LOG_LEVEL="error") as server:
        yield server, _wait(server, port)


@contextmanager
def _floor(folder: Path, url: str) -> Iterator[tuple[Server, httpx.Client]]:
    port = free_port(HOST)
    command = ("uvicorn", "tests.benchmark.floor:app", "--http", "h11", "--port", str(port), "--log-level", "error")
    with starting(folder, *command, FLOOR_DATABASE=str(make_url(url).database)) as server:
        yield server, _wait(server, port)


def _wait(server: Server, port: int) -> httpx.Client:
    """A client of the server, once it answers; the server then keeps to one core."""
    client = httpx.Client(base_url=f"http://{HOST}:{port}", timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.get("/todos/1").raise_for_status()
        except httpx.ConnectError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"tests.benchmark: the server did not come up:\n{server.output}") from None
            time.sleep(0.05)  # between two looks: nothing tells of a socket that listens
        else:
            pin(server.process.pid, 0)
            return client


def _measure(name: str, pid: int, client: httpx.Client, deep: str, url: str, folder: Path, options: Namespace) -> None:
    for work in WORK:
        for clients in options.clients:
            first = fill(url, int(DELETES * options.seconds)) if work.name == "delete" else 1
            request = work.request.replace("DEEP", deep).replace("FIRST", str(first))
            script = folder / "requests.lua"
            script.write_text(SCRIPT.replace("REQUEST", request))
            cost = run(pid, script, str(client.base_url), clients, options.seconds)
            remark = f" ({cost.failed:.0%} failed)" if cost.failed else ""
            print(
                f"| {name} | {clients} | {work.name}{remark} | {cost.cpu:.0f} | {cost.rate:,.0f} | {cost.p50:.1f}"
                f" | {cost.p99:.1f} | {cost.memory:.0f} |",
                flush=True,
            )


def _deep_page(client: httpx.Client) -> str:
    """The query of page 1,000, or of the last one that is full."""
    query = "limit=500"
    for _ in range(100):
        link = client.get(f"/todos?{query}").headers.get("link")
        if link is None:
            break
        query = link.split(">")[0].partition("?")[2]
    return query.replace("limit=500", "") + "&limit=50"


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
