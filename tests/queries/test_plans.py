"""What the database is asked, and how it goes about it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

import asyncpg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, make_url

from tests.applications import in_process, sort_members
from tests.benchmark.rows import fill
from tests.databases import PostgreSQL, SQLite
from todo_api.database.postgresql.writes import PooledWrites
from todo_api.queries import pages

Statements = list[tuple[str, Any]]


@contextmanager
def statements() -> Iterator[Statements]:
    """The statements that are sent to databases meanwhile, with those that begin and end a group on PostgreSQL."""
    found: Statements = []
    send, fetch = PooledWrites._send, PooledWrites._fetch

    async def note_sent(writes: PooledWrites, command: str, **options: Any) -> str:
        found.append((command, ()))
        return await send(writes, command, **options)

    async def note_fetched(writes: PooledWrites, query: str, *values: Any) -> Any:
        found.append((query, values))
        return await fetch(writes, query, *values)

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    def note_commit(connection: Any) -> None:
        found.append(("COMMIT", ()))

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "commit", note_commit)
    try:
        with patch.object(PooledWrites, "_send", note_sent), patch.object(PooledWrites, "_fetch", note_fetched):
            yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", note_commit)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "/todos/1", None, ["SELECT"]),
        ("GET", "/todos?limit=1", None, ["SELECT"]),
        ("GET", "/todos?limit=1&complete=false&tag=a&q=milk", None, ["SELECT"]),
        ("POST", "/todos", {"task": "Buy milk"}, ["INSERT", "COMMIT"]),
        ("PUT", "/todos/1", {"complete": True}, ["SELECT", "UPDATE", "COMMIT"]),
        ("PATCH", "/todos/1", {"complete": True}, ["SELECT", "UPDATE", "COMMIT"]),
        ("DELETE", "/todos/1", None, ["SELECT", "SELECT", "INSERT", "DELETE", "COMMIT"]),
        ("POST", "/todos", {"task": "Buy milk", "list_id": 1}, ["SELECT", "INSERT", "COMMIT"]),
        ("POST", "/todos", {"task": "Buy milk", "parent_id": 1}, ["WITH", "INSERT", "COMMIT"]),
    ],
)
def test_a_request_takes_no_more_statements_than_it_must(
    client: TestClient, database_url: str, method: str, path: str, body: object, words: list[str]
) -> None:
    client.post("/lists", json={"name": "Groceries"})
    for task in ("Buy milk", "Buy bread"):
        client.post("/todos", json={"task": task, "tags": ["a"]})
    with statements() as found:
        answer = client.request(method, path, json=body)

    assert answer.status_code < 300
    sent = [statement.split()[0] for statement, _ in found]
    assert sent == ([] if method == "GET" else begin(database_url)) + words


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/todos/bulk", ["SELECT", "INSERT", "COMMIT"]),
        ("PATCH", "/todos?complete=false", ["SELECT", "UPDATE", "COMMIT"]),
        ("DELETE", "/todos?complete=false", ["SELECT", "INSERT", "DELETE", "COMMIT"]),
    ],
)
def test_a_change_of_many_takes_as_many_statements_for_hundreds_as_for_one(
    client: TestClient, database_url: str, method: str, path: str, words: list[str]
) -> None:
    for count in (1, 300):
        todos = [{"task": "Buy milk"}] * count
        if method != "POST":
            client.post("/todos/bulk", json=todos)
        with statements() as found:
            answer = client.request(method, path, json={"POST": todos, "PATCH": {"priority": count % 9}}.get(method))
        sent = [statement.split()[0] for statement, _ in found]
        if method == "POST" and database_url.startswith("sqlite"):
            # It gives ids in no order that it promises, so it is asked for one row after the other.
            assert sent.count("INSERT") == count
            sent = list(dict.fromkeys(sent))

        assert answer.status_code < 300
        assert sent == begin(database_url) + words


def begin(database_url: str) -> list[str]:
    """The beginning of a group of writes: on PostgreSQL two messages, the second of which takes the owner's counter."""
    return [] if database_url.startswith("sqlite") else ["BEGIN;", "INSERT"]


PAGES = [
    "",
    "sort=id",
    "sort=-id",
    "sort=task",
    "sort=complete",
    "sort=-complete",
    "sort=due",
    "sort=-due",
    "sort=due_on",
    "sort=due_at",
    "sort=priority",
    "sort=position",
    "sort=-created_at",
    "sort=updated_at",
    "sort=completed_at",
    "sort=list_id",
    "sort=parent_id",
    "sort=notes",
    "sort=-notes",
    "sort=version",
    "ids=1&ids=2",
    "complete=false",
    "priority=5",
    "priority_min=5",
    "priority_max=5",
    "tag=milk",
    "tag=milk&tag=work",
    "due_before=2100-01-01",
    "due_after=2000-01-01",
    "due_after=2000-01-01&tz=Europe/Paris",
    "overdue=true",
    "overdue=true&tz=Europe/Paris",
    "overdue=false",
    "has_due=true",
    "has_due=false",
    "created_after=2000-01-01T00:00:00Z",
    "updated_after=2000-01-01T00:00:00Z",
    "completed_after=2000-01-01T00:00:00Z",
    "completed_before=2100-01-01T00:00:00Z",
    "list_id=1",
    "list_id=1&complete=false",
    "has_list=true",
    "has_list=false",
    "parent_id=1",
    "has_parent=true",
    "has_parent=false",
    "q=milk",
    "q=milk+bread",
    "complete=false&priority_min=5",
]
"""Every filter and every sort."""


def test_the_pages_that_are_explained_have_every_filter_and_every_sort() -> None:
    document = in_process(database_url="sqlite:///unused.db").get("/openapi.json").json()
    parameters = {each["name"] for each in document["paths"]["/todos"]["get"]["parameters"]}
    used = [each for query in PAGES for each in parse_qsl(query)]

    assert {name for name, _ in used} == parameters - {"limit", "cursor", "count"}
    assert {value.removeprefix("-") for name, value in used if name == "sort"} == set(sort_members(document))


@pytest.fixture(scope="module")
def filled(sqlite_backend: SQLite) -> str:
    """A SQLite file of 1,000 todos."""
    url = sqlite_backend.migrated()
    fill(url, 1000)
    return url


def pages_of(url: str, query: str) -> Statements:
    """The statements of the first two pages of a list."""
    with in_process(database_url=url) as client, statements() as found:
        answer = client.get(f"/todos?{query}&limit=10".replace("?&", "?"))
        assert answer.status_code == 200
        if link := answer.headers.get("link"):
            assert client.get(link.split(">")[0].removeprefix("<")).status_code == 200
    sent = [each for each in found if each[0].startswith("SELECT todo_items")]  # not what the start asks for
    assert sent
    return sent


@pytest.mark.parametrize("query", PAGES)
def test_a_page_is_one_walk_of_an_index_on_sqlite(filled: str, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LOOKS", ((10, 200), (20, 400)))  # as if the file held many more
    with closing(sqlite3.connect(str(make_url(filled).database))) as connection:
        connection.create_function("lower", 1, str.lower, deterministic=True)
        for statement, parameters in pages_of(filled, query):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]

            assert plan
            if query in ("has_due=true", "sort=due", "sort=notes"):
                # The walk begins behind null, which SQLite does for a comparison alone; or it is that of null.
                assert "<expr>" in plan[0]
            assert not [step for step in plan if "SCAN" in step and "VIRTUAL TABLE INDEX" not in step]
            assert not [step for step in plan if "TEMP B-TREE" in step and "ids=" not in query]
            if "sort" in query or "_after" in query or "_before" in query:
                # Behind a cursor the walk begins at its value, not at its id.
                assert not [step for step in plan if "ix_todo_items_owner_id " in step and not query.endswith("id")]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("q=milk&sort=-created_at", "ix_todo_items_owner_created_at_id"),
        ("tag=milk&sort=position", "ix_todo_items_owner_position_id"),
        ("q=zeppelin&sort=-created_at", "VIRTUAL TABLE INDEX"),
        ("tag=zeppelin&sort=position", "PRIMARY KEY (owner=? AND tag=?"),
        ("sort=complete,position", "ix_todo_items_owner_position_id"),
    ],
)
def test_an_order_is_walked_unless_few_match_on_sqlite(
    filled: str, query: str, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", ((10, 200), (20, 400)))
    with closing(sqlite3.connect(str(make_url(filled).database))) as connection:
        connection.create_function("lower", 1, str.lower, deterministic=True)
        with in_process(database_url=filled) as client, statements() as found:
            assert client.get(f"/todos?{query}&limit=10").status_code == 200
        statement, parameters = found[-1]
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    assert [step for step in plan if index in step], plan
    assert bool([step for step in plan if "TEMP B-TREE" in step]) is ("zeppelin" in query)


@pytest.fixture(scope="module")
def filled_postgresql(postgresql_backend: PostgreSQL) -> str:
    """A PostgreSQL database of 2,000 todos."""
    url = postgresql_backend.migrated()
    fill(url, 2000)
    return url


@pytest.mark.parametrize("query", PAGES)
def test_a_page_is_found_by_an_index_on_postgresql(filled_postgresql: str, query: str) -> None:
    async def explain(pages: Statements) -> list[str]:
        connection = await asyncpg.connect(filled_postgresql)
        # So small a table is read faster as a whole than by an index, and few rows are sorted faster than walked.
        await connection.execute("SET enable_seqscan = off")
        await connection.execute(f"SET enable_bitmapscan = {'on' if 'q=' in query else 'off'}")
        plans = [await connection.fetch(f"EXPLAIN {statement}", *parameters) for statement, parameters in pages]
        await connection.close()
        return ["\n".join(row[0] for row in plan) for plan in plans]

    for plan in asyncio.run(explain(pages_of(filled_postgresql, query))):
        assert "Index" in plan
        assert "Seq Scan" not in plan
        if "q=" not in query and "ids=" not in query:  # at most a hundred rows; those of some blocks of ids
            assert " Sort " not in f" {plan} ", plan


def test_behind_a_cursor_postgresql_is_told_where_to_begin_in_each_table(filled_postgresql: str) -> None:
    """It does not conclude that from the equal ids, and would walk all rows before."""
    _, (second, _) = pages_of(filled_postgresql, "tag=milk&tag=work")

    assert "todo_items_tags_1.id > " in second
    assert "todo_items_tags_2.id > " in second
    assert "todo_items.id > " in second


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "ix_deleted_todos_owner_change_id"),
        ("q=milk", "ix_deleted_todos_owner_change_id"),
        ("deleted_after=2000-01-01T00:00:00Z", "ix_deleted_todos_owner_change_id"),
        ("deleted_before=2000-01-01T00:00:00Z", "ix_deleted_todos_owner_deleted_at_parent_id"),
        ("ids=1&ids=2", "PRIMARY KEY"),
    ],
)
def test_a_page_of_the_trash_is_found_by_an_index_on_sqlite(
    sqlite_backend: SQLite, query: str, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", ((10, 200), (20, 400)))  # as if the trash held many more
    url = sqlite_backend.migrated()
    fill(url, 1000)
    with in_process(database_url=url) as client:
        for complete in ("true", "false"):
            assert client.delete(f"/todos?complete={complete}").json()["changed"] > 100
        with statements() as found:
            assert client.get(f"/trash?{query}&limit=10".replace("?&", "?")).status_code == 200
    with closing(sqlite3.connect(str(make_url(url).database))) as connection:
        plans = [
            [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in found
        ]

    assert [step for step in plans[-1] if index in step], plans
    assert not [step for plan in plans for step in plan if "SCAN" in step]
