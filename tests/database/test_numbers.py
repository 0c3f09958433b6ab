"""Each change of an owner has a number, which moves only when something was written; and old code writes nothing."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import httpx2 as httpx
import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from tests.applications import as_owner, command, in_process
from tests.database.test_migrations import execute
from tests.databases import Backend, PostgreSQL
from tests.servers import PATIENCE, Server, at_once, serving
from todo_api.database.schema import newest_migration
from todo_api.http.routing import Route, SessionDep
from todo_api.main import create_app
from todo_api.models import TodoItem
from todo_api.settings import Settings


def numbers(url: str, owner: str = "local") -> tuple[int, list[int]]:
    """The number of an owner's last change, and those of its todos."""
    counters = execute(url, f"SELECT change FROM owners WHERE owner = '{owner}'")
    rows = execute(url, f"SELECT change FROM todo_items WHERE owner = '{owner}' ORDER BY id")
    return int(str(counters[0][0])) if counters else 0, [int(str(row[0])) for row in rows]


def test_a_number_moves_with_each_change_and_is_kept_by_the_rows_that_it_wrote(
    client: TestClient, database_url: str
) -> None:
    client.post("/todos", json={"task": "a"})
    assert numbers(database_url) == (1, [1])
    client.post("/todos/bulk", json=[{"task": "b"}, {"task": "c"}])
    assert numbers(database_url) == (2, [1, 2, 2])
    client.put("/todos/1", json={"complete": True})
    assert numbers(database_url) == (3, [3, 2, 2])
    client.patch("/todos?complete=false", json={"priority": 1})
    assert numbers(database_url) == (4, [3, 4, 4])
    client.post("/todos/1/move", json={"to": "bottom"})
    assert numbers(database_url) == (5, [5, 4, 4])
    client.delete("/todos/2")
    assert numbers(database_url) == (6, [5, 4])
    client.delete("/todos?complete=false")
    assert numbers(database_url) == (7, [5])


NOTHING: dict[str, Callable[[TestClient], Any]] = {
    "a read": lambda client: client.get("/todos/1"),
    "an unknown todo": lambda client: client.put("/todos/9", json={"task": "x"}),
    "the same values": lambda client: client.put("/todos/1", json={"task": "a"}),
    "another version": lambda client: client.delete("/todos/1", headers={"if-match": '"7"'}),
    "a dry run": lambda client: client.post("/todos?dry_run=true", json={"task": "x"}),
    "a dry run of many": lambda client: client.delete("/todos?ids=1&dry_run=true"),
    "a change of none": lambda client: client.patch("/todos?ids=9", json={"task": "x"}),
    "too many": lambda client: client.delete("/todos?ids=1&max_affected=0"),
    "a move to where it is": lambda client: client.post("/todos/1/move", json={"to": "top"}),
}


@pytest.mark.parametrize("call", NOTHING.values(), ids=NOTHING.keys())
def test_a_request_that_writes_nothing_moves_no_number(
    client: TestClient, database_url: str, call: Callable[[TestClient], Any]
) -> None:
    client.post("/todos", json={"task": "a"})
    call(client)

    assert numbers(database_url) == (1, [1])


def test_requests_at_once_that_write_nothing_move_no_number(folder: Path, backend: Backend) -> None:
    url = backend.migrated()
    with serving(folder, TODO_DATABASE_URL=url) as (_, client):
        client.post("/todos", json={"task": "a"})
        before = numbers(url)[0]
        at_once(client, [("PUT", "/todos/1", {"task": "a"}), ("PUT", "/todos/9", {"task": "a"})] * 10)

        assert numbers(url)[0] == before
        at_once(client, [("PUT", "/todos/1", {"task": "b"}), ("PUT", "/todos/9", {"task": "a"})] * 10)
        counter, rows = numbers(url)
        assert before < counter <= before + 10
        assert rows[0] <= counter


def test_todos_that_get_another_owner_get_a_new_number_of_that_owner(database_url: str) -> None:
    with in_process(database_url=database_url, auth="token") as client:
        alice, bob = as_owner(database_url, "alice"), as_owner(database_url, "bob")
        for number in range(3):
            client.post("/todos", json={"task": f"alice's {number}"}, headers=alice)
        client.post("/todos", json={"task": "bob's"}, headers=bob)
    command(database_url, "owner", "rename", "bob", "alice", "--merge")

    assert numbers(database_url, "alice") == (4, [1, 2, 3, 4])


def test_an_answer_that_cannot_be_rendered_undoes_its_changes(database_url: str) -> None:
    router = APIRouter(route_class=Route)

    @router.post("/broken")
    async def create_broken(session: SessionDep) -> TodoItem:
        session.add(TodoItem(task="x", position=1))
        await session.commit()
        return TodoItem.model_construct(task=object())

    app = create_app(Settings(database_url=database_url))  # type: ignore[arg-type]  # parsed by the field
    app.router.routes.extend(router.routes)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)) as client:
        assert client.post("/broken").status_code == 500
        assert client.get("/todos").json() == []
        assert client.post("/todos", json={"task": "y"}).status_code == 201
    assert numbers(database_url) == (1, [1])


def test_code_of_an_older_migration_refuses_writes_in_words_and_goes_on_reading(
    client: TestClient, database_url: str
) -> None:
    client.post("/todos", json={"task": "a"})
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    said = f"The database is at migration 9999, and this server needs {newest_migration()}."
    refused = [
        client.post("/todos", json={"task": "b"}),
        client.put("/todos/1", json={"task": "b"}),
        client.delete("/todos?ids=1"),
        client.get("/readyz"),
    ]

    for answer in refused:
        assert answer.status_code == 503
        assert said == answer.json()["detail"]
        assert answer.headers["retry-after"] == "1"
    assert client.get("/todos/1").json()["task"] == "a"
    execute(database_url, f"UPDATE alembic_version SET version_num = '{newest_migration()}'")
    assert client.put("/todos/1", json={"task": "b"}).status_code == 200


@pytest.mark.slow
def test_a_migration_under_load_loses_nothing_and_each_refused_write_is_told(folder: Path, backend: Backend) -> None:
    url = backend.migrated()
    created: list[str] = []
    enough = threading.Event()
    with serving(folder, TODO_DATABASE_URL=url) as (server, client), ThreadPoolExecutor(8) as threads:

        def create(number: int) -> int:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as own:
                statuses = []
                for each in range(60):
                    answer = own.post("/todos", json={"task": f"{number} {each}"})
                    statuses.append(answer.status_code)
                    if answer.status_code == 201:
                        created.append(answer.json()["task"])
                        if len(created) > 80:
                            enough.set()
                    else:
                        assert (answer.status_code, "migration 9999" in answer.json()["detail"]) == (503, True)
                return statuses.count(503)

        runs = [threads.submit(create, number) for number in range(8)]
        assert enough.wait(PATIENCE)
        execute(url, "UPDATE alembic_version SET version_num = '9999'")
        left = len(client.get("/todos?limit=500").json())
        refused = sum(run.result() for run in runs)

        assert refused > 0
        assert sorted(todo["task"] for todo in client.get("/todos?limit=500").json()) == sorted(created)
        assert left <= len(created)
        server.wait_until_said("migration 9999")
        assert server.stop() == 0
        assert server.output.count("migration 9999") == 1


@pytest.mark.slow
def test_an_owner_holds_one_connection_and_others_go_on(folder: Path, postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.migrated()
    alice, bob = as_owner(url, "alice"), as_owner(url, "bob")
    environment = {"TODO_DATABASE_URL": url, "TODO_AUTH": "token", "TODO_DATABASE_TIMEOUT": "3"}

    async def work(base: str) -> None:
        driver = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:

            async def create(headers: dict[str, str]) -> int:
                return (await client.post("/todos", json={"task": "x"}, headers=headers)).status_code

            assert await create(alice) == await create(bob) == 201
            transaction = driver.transaction()
            await transaction.start()
            await driver.execute("SELECT 1 FROM owners WHERE owner = 'alice' FOR UPDATE")
            waiting = [asyncio.create_task(create(alice)) for _ in range(32)]
            for _ in range(20):
                assert await create(bob) == 201
                assert (await client.get("/todos", headers=alice)).status_code == 200
            held = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            assert await driver.fetchval(held) <= 1
            await transaction.rollback()
            assert [await each for each in waiting] == [201] * 32
        await driver.close()

    with serving(folder, **environment) as (server, _):
        asyncio.run(work(server.url))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_statements_that_are_ended_from_outside_leave_every_connection_whole(
    folder: Path, postgresql_backend: PostgreSQL, function: str
) -> None:
    url = postgresql_backend.migrated()
    calls = [
        ("POST", "/todos", {"task": "x"}),
        ("PATCH", "/todos/1", {"priority": 3}),
        ("PATCH", "/todos?ids=1", {"priority": 4}),
        ("POST", "/todos/1/move", {"to": "bottom"}),
        ("GET", "/todos", None),
    ]

    async def work(server: Server) -> tuple[list[int], list[int]]:
        driver = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
        ends = f"SELECT {function}(pid) FROM pg_stat_activity WHERE application_name = 'todo_api' AND state <> 'idle'"
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as client:
            acknowledged: list[int] = []
            statuses: list[int] = []
            stop = asyncio.Event()

            async def send(number: int) -> None:
                while not stop.is_set():
                    method, path, body = calls[number % len(calls)]
                    answer = await client.request(method, path, json=body)
                    statuses.append(answer.status_code)
                    if answer.status_code == 201:
                        acknowledged.append(answer.json()["id"])

            await client.post("/todos", json={"task": "first"})
            senders = [asyncio.create_task(send(number)) for number in range(15)]
            ended = 0
            while ended < 100:
                ended += len(await driver.fetch(ends))
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.gather(*senders)
            assert set(statuses) <= {200, 201, 503}, server.output
            assert 503 in statuses or function == "pg_cancel_backend"  # which may come between two statements
            for _ in range(60):
                assert (await client.post("/todos", json={"task": "x"})).status_code == 201
            kept = {int(row[0]) for row in await driver.fetch("SELECT id FROM todo_items")}
            assert set(acknowledged) <= kept
        await driver.close()
        return acknowledged, statuses

    with serving(folder, TODO_DATABASE_URL=url) as (server, _):
        acknowledged, statuses = asyncio.run(work(server))
        print(f"{function}: {len(acknowledged)} created, {statuses.count(503)} of {len(statuses)} refused")
        assert " 500 " not in server.output
