"""Writes of one owner that are ready at the same time share a commit: each is a success or an error of its own."""

import asyncio
import re
import sqlite3
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from sqlmodel import select

from tests.databases import Backend
from tests.servers import PATIENCE, Call, at_once, serving
from todo_api.database.engines import Database, parse_url
from todo_api.database.session import Session
from todo_api.models import TodoItem


def test_a_write_that_fails_undoes_itself_alone(folder: Path, sqlite_backend: Backend) -> None:
    calls: list[Call] = []
    for number in range(20):
        calls += [
            ("POST", "/todos", {"task": f"kept {number}"}),
            ("POST", "/todos?dry_run=true", {"task": f"not kept {number}"}),
            ("PATCH", "/todos?complete=false&max_affected=0", {"complete": True}),
            ("POST", "/todos/1/move", {"after": 1}),
            ("PUT", "/todos/1", {"task": f"changed {number}"}),
        ]
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (_, client):
        client.post("/todos", json={"task": "first"})

        statuses = [answer.status_code for answer in at_once(client, calls)]
        assert statuses == [201, 201, 409, 422, 200] * 20
        first, *others = client.get("/todos?limit=500").json()
        assert first["version"] == 21
        assert sorted(todo["task"] for todo in others) == sorted(f"kept {number}" for number in range(20))
        assert not any(todo["complete"] for todo in others)
        assert len({todo["position"] for todo in others}) == 20


@pytest.mark.slow
def test_writes_at_once_share_a_flush_to_the_disk_and_none_is_answered_before_it(
    folder: Path, sqlite_backend: Backend
) -> None:
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        trace = folder / "trace"
        calls = "trace=fsync,fdatasync,read,write,recvfrom,sendto"
        command = ["strace", "-f", "-s", "40", "-e", calls, "-o", str(trace), "-p", str(server.process.pid)]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert strace.stderr
        strace.stderr.readline()  # it is attached
        for _ in range(10):
            answers = at_once(client, [("POST", "/todos", {"task": "x"})] * 20)
            assert {answer.status_code for answer in answers} == {201}
        strace.terminate()
        strace.wait(PATIENCE)
        strace.stderr.close()

    flushes, answered = 0, 0
    flushes_before: dict[str, int] = defaultdict(int)
    for line in trace.read_text().splitlines():
        call = re.search(r'(fsync|fdatasync|read|write|recvfrom|sendto)\((\d+)(?:, "(.*?)")?', line)
        if call is None:
            continue
        name, file, content = call.groups()
        if name.endswith("sync"):
            flushes += 1
        elif (content or "").startswith("POST "):
            flushes_before[file] = flushes
        elif (content or "").startswith("HTTP/1.1 201"):
            answered += 1
            assert flushes > flushes_before[file]
    assert answered == 200
    assert flushes < 150


def test_what_was_done_when_the_time_is_up_is_answered_as_done(folder: Path, sqlite_backend: Backend) -> None:
    many = [{"task": f"task {number}", "notes": "much to write " * 100} for number in range(500)]
    environment = {"TODO_DATABASE_URL": sqlite_backend.migrated(), "TODO_DATABASE_TIMEOUT": "0.1"}
    with serving(folder, **environment) as (_, client):
        created = sum(
            500 for answer in at_once(client, [("POST", "/todos/bulk", many)] * 4) if answer.status_code == 201
        )

        assert created > 0
        assert client.get("/todos?count=true&limit=1").headers["x-total-count"] == str(created)


def test_a_write_whose_connection_is_gone_is_refused_and_the_next_one_done(sqlite_backend: Backend) -> None:
    async def write(database: Database, task: str, *, keep: bool = True) -> None:
        async with Session(database.writer, "alice") as session:
            session.add(TodoItem(task=task, position=1))
            await (session.commit() if keep else session.flush())

    async def work() -> None:
        database = Database(parse_url(sqlite_backend.migrated()))
        assert database._writes is not None
        try:
            for keep in (True, False):
                first = asyncio.create_task(write(database, "lost"))
                await asyncio.sleep(0)
                second = Session(database.writer, "alice")
                session = await second.__aenter__()
                session.add(TodoItem(task="lost as well", position=1))
                await (session.commit() if keep else session.flush())
                database._writes.sqlite.close()  # as a fault of the system does it
                with pytest.raises((sqlite3.Error, ConnectionError)):
                    await second.__aexit__(None, None, None)
                with pytest.raises((sqlite3.Error, ConnectionError)):
                    await first
                await write(database, "kept")
            async with Session(database.reader, "alice") as session:
                kept = (await session.exec(select(TodoItem.task))).all()
            assert kept == ["kept", "kept"]
        finally:
            await database.dispose()

    asyncio.run(work())
