"""The trash under load: deletes that share a transaction, a server that is killed, and what is purged by its age."""

import asyncio
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest
from sqlalchemy import make_url

from tests.servers import PATIENCE, at_once, serving

pytestmark = pytest.mark.slow

EVER = "2000-01-01T00:00:00Z"
ROUNDS = int(os.environ.get("TODO_TEST_ROUNDS", "200"))
"""Pairs of deletes: 1,000 take two and a half minutes on each database."""
KILLS = 6
WRITERS = 6


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a database, beside the product."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "", timeout=PATIENCE)) as connection, connection:
            return [tuple(row) for row in connection.execute(statement)]

    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(run())


def test_of_deletes_that_share_a_number_each_restore_brings_back_its_own(folder: Path, database_url: str) -> None:
    shared = 0
    with serving(folder, TODO_DATABASE_URL=database_url) as (_, client):
        for _ in range(ROUNDS):
            top = client.post("/todos", json={"task": "top"}).json()["id"]
            below = [{"task": "below", "parent_id": top}] * 2
            first, second = (each["id"] for each in client.post("/todos/bulk", json=below).json())
            for answer in at_once(client, [("DELETE", f"/todos/{todo}", None) for todo in (first, top)]):
                assert answer.status_code in (204, 404)
            rows = execute(database_url, f"SELECT id, change, act FROM deleted_todos WHERE id >= {top}")
            deleted = {row[0]: row[1:] for row in rows}
            assert set(deleted) == {top, first, second}
            apart = deleted[first] != deleted[top]
            shared += apart and deleted[first][0] == deleted[top][0]

            assert client.post(f"/trash/{top}/restore").status_code == 200
            there = {todo["id"] for todo in client.get(f"/todos?ids={top}&ids={first}&ids={second}").json()}
            assert there == ({top, second} if apart else {top, first, second})
    assert shared > 0


class Writer:
    """Creates, deletes and restores until the server is gone; remembers what was acknowledged."""

    def __init__(self) -> None:
        self.there: set[int] = set()
        self.gone: set[int] = set()
        self.unknown: set[int] = set()

    def run(self, url: str, started: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            while True:
                todo = 0
                try:
                    todo = client.post("/todos", json={"task": "x"}).json()["id"]
                    self.there.add(todo)
                    if todo % 3:
                        assert client.delete(f"/todos/{todo}").status_code == 204
                        self.there.remove(todo)
                        self.gone.add(todo)
                    if todo % 3 == 1:
                        assert client.post(f"/trash/{todo}/restore").status_code == 200
                        self.gone.remove(todo)
                        self.there.add(todo)
                    started.set()
                except httpx.TransportError:
                    self.unknown.add(todo)  # its last write may have been made or not
                    return


def test_a_kill_leaves_every_todo_in_one_place(folder: Path, database_url: str) -> None:
    writers = [Writer() for _ in range(WRITERS)]
    for _ in range(KILLS):
        with serving(folder, TODO_DATABASE_URL=database_url) as (server, _), ThreadPoolExecutor(WRITERS) as threads:
            started = threading.Event()
            runs = [threads.submit(writer.run, server.url, started) for writer in writers]
            assert started.wait(PATIENCE)
            threading.Event().wait(0.3)  # under full load
            os.killpg(server.process.pid, signal.SIGKILL)
            for run in runs:
                run.result()

    there = [row[0] for row in execute(database_url, "SELECT id FROM todo_items")]
    gone = [row[0] for row in execute(database_url, "SELECT id FROM deleted_todos")]
    assert len(there) + len(gone) == len({*there, *gone})
    unknown = set().union(*(writer.unknown for writer in writers))
    assert sum(len(writer.there | writer.gone) for writer in writers) > KILLS * WRITERS
    for writer in writers:
        assert writer.there - unknown <= set(there)
        assert writer.gone - unknown <= set(gone)
        assert (unknown & (writer.there | writer.gone)) <= {*there, *gone}


@pytest.mark.parametrize("days", ["1", "0"])
def test_what_has_been_in_the_trash_for_its_time_is_purged(folder: Path, database_url: str, days: str) -> None:
    with serving(folder, TODO_DATABASE_URL=database_url) as (_, client):
        for _ in range(3):
            client.post("/todos/bulk", json=[{"task": "x"}] * 500)
        client.delete(f"/todos?created_after={EVER}")
    old = "1999-12-31 00:00:00.000000+00:00"
    execute(database_url, f"UPDATE deleted_todos SET deleted_at = '{old}' WHERE id > 3")

    kept = ["3", "2", "1"] if days == "1" else []
    with (
        serving(folder, TODO_DATABASE_URL=database_url, TODO_TRASH_DAYS=days) as (_, client),
        serving(folder, TODO_DATABASE_URL=database_url, TODO_TRASH_DAYS=days),
    ):
        until = time.monotonic() + PATIENCE
        while client.get("/trash?count=true&limit=1").headers["x-total-count"] != str(len(kept)):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert [str(todo["id"]) for todo in client.get("/trash").json()] == kept
        assert client.post("/todos", json={"task": "x"}).json()["id"] == 1501
