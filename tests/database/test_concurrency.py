"""Many clients at once, and another process that holds the database."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest

from tests.databases import PostgreSQL, SQLite
from tests.servers import Call, at_once, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def client(folder: Path, database_url: str) -> Iterator[httpx.Client]:
    """A client of a server on a database of the test's own."""
    with serving(folder, TODO_DATABASE_URL=database_url) as (_, client):
        yield client


def test_todos_created_at_once_all_exist_under_ids_of_their_own(client: httpx.Client) -> None:
    answers = at_once(client, [("POST", "/todos", {"task": f"task {number}"}) for number in range(200)])

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["id"] for answer in answers} == set(range(1, 201))
    assert len(client.get("/todos?limit=500").json()) == 200


def test_updates_of_different_members_at_once_both_survive(client: httpx.Client) -> None:
    for number in range(1, 21):
        client.post("/todos", json={"task": "old"})
        answers = at_once(
            client, [("PUT", f"/todos/{number}", {"task": "new"}), ("PATCH", f"/todos/{number}", {"complete": True})]
        )

        assert {answer.status_code for answer in answers} == {200}
        now = client.get(f"/todos/{number}").json()
        assert now == now | {"task": "new", "complete": True, "version": 3}


def test_each_version_is_changed_once_however_many_try(client: httpx.Client) -> None:
    client.post("/todos", json={"task": "version 1"})
    with ThreadPoolExecutor(16) as threads:
        for version in range(1, 11):

            def change(number: int, version: int = version) -> httpx.Response:
                body = {"task": f"version {version + 1} by {number}"}
                return client.put("/todos/1", json=body, headers={"if-match": f'"{version}"'})

            answers = list(threads.map(change, range(8)))
            winners = [answer.json() for answer in answers if answer.status_code == 200]

            assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
            assert client.get("/todos/1").json() == winners[0]
            assert winners[0]["version"] == version + 1


def test_a_todo_is_deleted_once_however_many_try(client: httpx.Client) -> None:
    for number in range(1, 11):
        client.post("/todos", json={"task": "old"})
        calls: list[tuple[str, str, object]] = [("DELETE", f"/todos/{number}", None)] * 8
        calls += [("PUT", f"/todos/{number}", {"complete": True})] * 8
        answers = at_once(client, calls)

        assert [answer.status_code for answer in answers[:8]].count(204) == 1
        assert {answer.status_code for answer in answers[:8]} == {204, 404}
        assert {answer.status_code for answer in answers[8:]} <= {200, 404}
        assert client.get(f"/todos/{number}").status_code == 404


def test_of_two_thousand_conditional_updates_each_version_has_one_winner(client: httpx.Client) -> None:
    client.post("/todos", json={"task": "0"})

    def add_one(_: int) -> int:
        """The version that was made, or 0 because somebody else was faster."""
        todo = client.get("/todos/1")
        changed = {"task": str(int(todo.json()["task"]) + 1)}
        answer = client.put("/todos/1", json=changed, headers={"if-match": todo.headers["etag"]})
        assert answer.status_code in (200, 412)
        return int(answer.json()["version"]) if answer.status_code == 200 else 0

    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(add_one, range(2000)))

    versions = sorted(version for version in made if version)
    assert 0 < len(versions) < 2000
    assert versions == list(range(2, len(versions) + 2))
    assert client.get("/todos/1").json().items() >= {"task": str(len(versions)), "version": versions[-1]}.items()


@pytest.mark.parametrize("positions", [{}, {"position": 0}], ids=["room between them", "no room"])
def test_todos_moved_at_once_are_all_where_they_were_told_to_be(
    client: httpx.Client, positions: dict[str, int]
) -> None:
    client.post("/todos/bulk", json=[{"task": "x"} | positions for _ in range(60)])
    moves = [{"before": 60}, {"after": 60}, {"to": "top"}, {"to": "bottom"}]
    answers = at_once(client, [("POST", f"/todos/{todo}/move", moves[todo % 4]) for todo in range(1, 41)])
    order = [todo["id"] for todo in client.get("/todos?sort=position&limit=500").json()]
    place = {todo: number for number, todo in enumerate(order)}

    assert {answer.status_code for answer in answers} == {200}
    assert sorted(order) == list(range(1, 61))
    assert [todo for todo in order if todo > 40] == list(range(41, 61))
    before, behind, top, bottom = ([todo for todo in range(1, 41) if todo % 4 == number] for number in range(4))
    assert [todo for todo in before if place[todo] > place[60]] == []
    assert [todo for todo in behind if place[todo] < place[60]] == []
    assert [todo for todo in top if place[todo] > place[41]] == []
    assert [todo for todo in bottom if place[todo] < place[60]] == []
    # The next one, which meets no other, is just where it was told to be.
    client.post("/todos/1/move", json={"before": 60})
    order = [todo["id"] for todo in client.get("/todos?sort=position&limit=500").json()]
    assert order.index(1) + 1 == order.index(60)


def test_moves_and_changes_of_many_at_once_are_all_made(client: httpx.Client) -> None:
    tasks = [{"task": "Buy milk", "position": 0, "priority": 9 - number % 10} for number in range(40)]
    ids = [todo["id"] for todo in client.post("/todos/bulk", json=tasks).json()]
    moves: list[Call] = [
        ("POST", f"/todos/{moved}/move", {"after": other}) for moved, other in zip(ids, reversed(ids), strict=True)
    ]
    changes: list[Call] = [
        ("PATCH", f"/todos?{query}", {"notes": query, "position": 0})
        for query in ("priority_min=0", "created_after=2026-01-01T00:00:00Z", "q=milk", "complete=false")
    ]
    for _ in range(3):
        answers = at_once(client, moves[:12] + changes + moves[12:])

        assert [answer.status_code for answer in answers] == [200] * len(answers)


def test_a_conditional_update_against_a_delete_is_done_or_told(client: httpx.Client) -> None:
    for number in range(1, 51):
        client.post("/todos", json={"task": "old"})
        with ThreadPoolExecutor(8) as threads:
            headers = {"if-match": '"1"'}
            updates = [
                threads.submit(client.put, f"/todos/{number}", json={"task": "new"}, headers=headers) for _ in range(4)
            ]
            deletes = [threads.submit(client.delete, f"/todos/{number}", headers=headers) for _ in range(4)]
            statuses = [each.result().status_code for each in (*updates, *deletes)]

        won = [status for status in statuses if status < 300]
        assert len(won) == 1
        assert set(statuses) - set(won) <= {404, 412}
        assert client.get(f"/todos/{number}").status_code == (404 if won == [204] else 200)


@contextmanager
def write_lock(database_url: str) -> Iterator[sqlite3.Connection]:
    """Holds SQLite's write lock, as another process would."""
    holder = sqlite3.connect(
        database_url.removeprefix("sqlite:///"), isolation_level=None, timeout=30, check_same_thread=False
    )
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield holder
    finally:
        holder.close()


def test_while_another_process_writes_reads_go_on_and_writes_wait(folder: Path, sqlite_backend: SQLite) -> None:
    database_url = sqlite_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=database_url) as (_, client):
        client.post("/todos", json={"task": "Buy milk"})
        with write_lock(database_url) as holder, ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(client.put, "/todos/1", json={"complete": True}) for _ in range(4)]
            reads = [client.get("/todos/1").json()["complete"] for _ in range(50)]
            done_while_locked = [write.done() for write in waiting]
            holder.execute("COMMIT")

            assert reads == [False] * 50
            assert done_while_locked == [False] * 4
            assert [write.result().status_code for write in waiting] == [200] * 4
        assert client.get("/todos/1").json()["complete"] is True


def test_a_write_that_waited_too_long_is_told_to_try_again(folder: Path, sqlite_backend: SQLite) -> None:
    database_url = sqlite_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=database_url) as (server, client):
        with write_lock(database_url):
            refused = client.post("/todos", json={"task": "Buy milk"})

        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in server.output
        assert client.get("/todos").json() == []
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201


def test_more_clients_than_connections_are_all_served(client: httpx.Client) -> None:
    answers = at_once(client, [("POST", "/todos", {"task": "x"}), ("GET", "/todos?limit=5", None)] * 150)

    assert {answer.status_code for answer in answers} == {200, 201}


def test_a_change_of_a_todo_that_is_locked_too_long_is_told_to_try_again(
    folder: Path, postgresql_backend: PostgreSQL
) -> None:
    database_url = postgresql_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=database_url) as (server, client):
        client.post("/todos", json={"task": "Buy milk"})

        async def read_and_change_while_locked() -> tuple[httpx.Response, httpx.Response]:
            holder = await asyncpg.connect(database_url)
            async with holder.transaction():
                await holder.execute("SELECT * FROM todo_items FOR UPDATE")
                read = await asyncio.to_thread(client.get, "/todos/1")
                changed = await asyncio.to_thread(client.put, "/todos/1", json={"complete": True})
            await holder.close()
            return read, changed

        read, refused = asyncio.run(read_and_change_while_locked())

        assert read.status_code == 200
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "Traceback" not in server.output
        assert client.put("/todos/1", json={"complete": True}).json()["version"] == 2


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_what_no_longer_matches_when_another_process_is_done_is_left_alone(
    folder: Path, postgresql_backend: PostgreSQL, method: str
) -> None:
    database_url = postgresql_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=database_url) as (_, client):
        client.post("/todos", json={"task": "Buy milk", "complete": True})

        async def change_meanwhile() -> httpx.Response:
            other = await asyncpg.connect(database_url)
            async with other.transaction():
                # As another process does it: the owner's counter comes first.
                await other.execute("UPDATE owners SET change = change + 1")
                await other.execute("UPDATE todo_items SET complete = false")
                many = asyncio.to_thread(client.request, method, "/todos?complete=true", json={"priority": 9})
                waiting = asyncio.create_task(many)
                await asyncio.sleep(0.5)
                assert not waiting.done()
            await other.close()
            return await waiting

        asyncio.run(change_meanwhile())
        assert client.get("/todos/1").json()["priority"] == 0


def test_lost_connections_are_replaced(folder: Path, postgresql_backend: PostgreSQL) -> None:
    with serving(folder, TODO_DATABASE_URL=postgresql_backend.migrated()) as (_, client):
        client.post("/todos", json={"task": "Buy milk"})
        for _ in range(3):
            postgresql_backend.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'todo_api'"
            )

            assert client.get("/todos/1").status_code == 200
            assert client.put("/todos/1", json={"complete": True}).status_code == 200


def test_while_the_database_is_locked_for_ten_seconds_writes_end_in_time_and_all_else_goes_on(
    folder: Path, sqlite_backend: SQLite
) -> None:
    database_url = sqlite_backend.migrated()
    with serving(folder, TODO_DATABASE_URL=database_url) as (server, client):
        client.post("/todos", json={"task": "Buy milk"})
        with write_lock(database_url), ThreadPoolExecutor(20) as threads:
            waiting = [threads.submit(client.put, "/todos/1", json={"complete": True}) for _ in range(20)]
            others, locked_until = 0, time.monotonic() + 10
            while time.monotonic() < locked_until:
                assert client.get("/todos/1").status_code == 200
                assert client.get("/livez").status_code == 200
                assert client.get("/readyz").status_code == 200
                others += 3
            assert all(write.done() for write in waiting)
            answers = [write.result() for write in waiting]

            # In the queue behind the others and for the lock together: none waits for both in turn.
            assert max(answer.elapsed.total_seconds() for answer in answers) < 9
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
        assert others > 100
        assert "Traceback" not in server.output
        assert client.put("/todos/1", json={"complete": True}).status_code == 200
