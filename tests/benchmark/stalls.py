"""How long everybody else waits while one client asks for what takes long: reads by key, `/livez` and small writes."""

import tempfile
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx2 as httpx

from tests.benchmark.rows import COMMON, fill
from tests.databases import SQLite, postgresql
from tests.servers import serving

EVERY = 0.02
"""Seconds between two requests of one who looks on."""
ALL = "created_after=2000-01-01T00:00:00Z"
SLOW: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/todos?limit=1", None),
    ("GET", "/todos?limit=50&count=true", None),
    ("GET", f"/todos?limit=50&q={COMMON}&sort=task", None),
    ("GET", "/todos?limit=50&q=for+home&count=true", None),
    ("GET", "/todos?limit=50&q=zq", None),
    ("GET", "/todos?limit=50&overdue=false&count=true", None),
    ("POST", "/todos/bulk", [{"task": "buy milk", "notes": "ﷺ" * 1000}] * 300),
    ("PATCH", f"/todos?tag={COMMON}&dry_run=true", {"priority": 3}),
    ("PATCH", f"/todos?{ALL}", {"priority": 4}),
    ("DELETE", "/todos?complete=true&dry_run=true", None),
    ("DELETE", "/todos?complete=true", None),
)
"""What one client asks for; the first of them is quick, so that the others can be compared with it."""
FLOOD = 30
"""Slow searches that are asked for at once."""


@dataclass
class Onlooker:
    """Sends one kind of request again and again, and notes how long each one took."""

    ask: Callable[[httpx.Client], httpx.Response]
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def look_on(self, url: str, end: Event) -> None:
        with httpx.Client(base_url=url, timeout=120) as client:
            while not end.is_set():
                began = time.perf_counter()
                self.statuses[self.ask(client).status_code] += 1
                taken = time.perf_counter() - began
                self.seconds.append(taken)
                end.wait(max(0.0, EVERY - taken))

    def __str__(self) -> str:
        found = sorted(self.seconds)
        refused = f", {self.statuses[503]} of {len(found)} refused" if self.statuses[503] else ""
        return f"{found[-1] * 1000:.0f} / {found[int(len(found) * 0.99)] * 1000:.0f}{refused}"


@contextmanager
def looking_on(url: str, *onlookers: Onlooker) -> Iterator[None]:
    end = Event()
    threads = [Thread(target=each.look_on, args=(url, end)) for each in onlookers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def measure(url: str, what: str, slow: Callable[[], str]) -> None:
    """Print one row: what was asked for, its own time and status, and the waits of the others in milliseconds."""
    key = Onlooker(lambda client: client.get("/todos/1"))
    health = Onlooker(lambda client: client.get("/livez"))
    write = Onlooker(lambda client: client.post("/todos", json={"task": "buy bread"}))
    with looking_on(url, key, health, write):
        time.sleep(0.3)  # in which the others wait for nothing
        began = time.perf_counter()
        outcome = slow()
        taken = time.perf_counter() - began
        time.sleep(0.3)  # in which who waited is answered
    print(f"| {what} | {taken:.2f} s, {outcome} | {key} | {health} | {write} |", flush=True)


def main(options: Namespace) -> None:
    with ExitStack() as stack:
        for name in options.databases:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            backend = SQLite(folder) if name == "sqlite" else stack.enter_context(postgresql())
            url = backend.migrated()
            fill(url, options.rows)
            environment = {"TODO_DATABASE_URL": url, "TODO_LOG_LEVEL": "warning"}
            print(f"\n{name}, {options.rows:,} todos: worst wait / 99th percentile in ms\n", flush=True)
            print("| request | itself | `GET /todos/1` | `/livez` | `POST /todos` |\n|---|---|---|---|---|")
            with serving(folder, **environment) as (server, client):
                client.timeout = 120
                for method, path, body in SLOW:

                    def ask(method: str = method, path: str = path, body: Any = body) -> str:
                        return str(client.request(method, path, json=body).status_code)

                    measure(server.url, f"`{method} {path}`", ask)
                clients = [stack.enter_context(httpx.Client(base_url=server.url, timeout=120)) for _ in range(FLOOD)]
                measure(server.url, f"{FLOOD} times `q=zq` at once", partial(flood, clients))
            if name == "sqlite":
                log = Path(f"{folder}/todo.db-wal")
                print(f"\nwrite-ahead log at the end: {log.stat().st_size if log.exists() else 0:,} bytes")


def flood(clients: Sequence[httpx.Client]) -> str:
    """The statuses of many slow searches at once."""
    with ThreadPoolExecutor(len(clients)) as threads:
        answers = threads.map(lambda client: client.get("/todos?limit=50&q=zq"), clients)
        statuses = Counter(answer.status_code for answer in answers)
    return ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
