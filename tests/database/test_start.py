"""How the command starts on the database that it finds."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url

from tests.applications import in_process
from tests.database.test_migrations import execute, newest_revision
from tests.databases import ROOT, Backend, PostgreSQL, SQLite, migrate
from tests.servers import PATIENCE, run, serving, starting
from todo_api.database.engines import Database, parse_url

INTERRUPTED = """
import time

from alembic import op

revision = "9999"
down_revision = "{}"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("DELETE FROM todo_items")
    print("half way", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def one_more_migration() -> Iterator[Path]:
    """Where a test may write a migration of its own, which is gone with it."""
    path = ROOT / "migrations" / "versions" / "9999_of_a_test.py"
    yield path
    path.unlink(missing_ok=True)


def old_database(backend: Backend) -> str:
    """A database of the first version of this program, with a todo in it."""
    url = backend.empty()
    migrate(url, "upgrade", "0001")
    execute(url, "INSERT INTO todo_items (task, complete) VALUES ('Buy milk', false)")
    return url


@pytest.mark.slow
def test_an_old_database_is_brought_to_the_newest_migration(folder: Path, backend: Backend) -> None:
    with serving(folder, TODO_DATABASE_URL=old_database(backend)) as (_, client):
        assert client.put("/todos/1", json={"complete": True}).status_code == 200
        assert client.get("/todos/1").json()["task"] == "Buy milk"


@pytest.mark.slow
def test_a_migration_that_is_killed_half_way_is_made_by_the_next_start(
    folder: Path, backend: Backend, one_more_migration: Path
) -> None:
    for url, tasks in ((old_database(backend), ["Buy milk"]), (backend.empty(), [])):
        one_more_migration.write_text(INTERRUPTED.format(newest_revision()))
        for _ in range(3):
            with starting(folder, TODO_DATABASE_URL=url) as server:
                server.wait_until_said("half way")
                server.kill()
        one_more_migration.unlink()

        with serving(folder, TODO_DATABASE_URL=url) as (_, client):
            assert [todo["task"] for todo in client.get("/todos").json()] == tasks
            assert client.post("/todos", json={"task": "Go on"}).status_code == 201
        execute(url, "CREATE TABLE half (id INTEGER)")  # which fails if there is still one


@pytest.mark.slow
def test_a_migration_that_hangs_holds_up_no_start_on_postgresql(
    folder: Path, postgresql_backend: PostgreSQL, one_more_migration: Path
) -> None:
    url = old_database(postgresql_backend)
    one_more_migration.write_text(INTERRUPTED.format(newest_revision()))
    with starting(folder, TODO_DATABASE_URL=url) as hanging:
        hanging.wait_until_said("half way")
        one_more_migration.unlink()
        with serving(folder, TODO_DATABASE_URL=url) as (_, client):
            assert [todo["task"] for todo in client.get("/todos").json()] == ["Buy milk"]


def test_two_processes_open_an_empty_database_before_either_writes_to_it(sqlite_backend: SQLite) -> None:
    url = parse_url(sqlite_backend.empty())

    def write(connection: Connection) -> None:
        with connection.begin():
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS made (id INTEGER)")

    async def open_both_and_write() -> None:
        async with AsyncExitStack() as stack:
            connections = []
            for _ in range(2):
                database = Database(url, create=True)
                stack.push_async_callback(database.dispose)
                connections.append(await stack.enter_async_context(database.engine.connect()))
            for connection in connections * 2:
                await connection.run_sync(write)

    asyncio.run(open_both_and_write())


def test_a_process_starts_while_another_one_writes(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with serving(folder, "uvicorn", "todo_api.main:app", "--port", "0", TODO_DATABASE_URL=url) as (_, client):
            assert client.get("/todos").json() == []


SLOW = """
import time

revision = "9999"
down_revision = "{}"


def upgrade() -> None:
    print("half way", flush=True)
    time.sleep(7)  # longer than a request waits for the database
"""


@pytest.mark.slow
def test_a_process_waits_for_the_one_that_migrates(folder: Path, backend: Backend, one_more_migration: Path) -> None:
    url = old_database(backend)
    one_more_migration.write_text(SLOW.format(newest_revision()))
    with starting(folder, TODO_DATABASE_URL=url) as migrating:
        migrating.wait_until_said("half way")
        with serving(folder, TODO_DATABASE_URL=url) as (_, client):
            assert [todo["task"] for todo in client.get("/todos").json()] == ["Buy milk"]
        migrating.wait_until_ready()


def test_the_name_of_a_database_may_be_none_of_utf_8(folder: Path, sqlite_backend: SQLite) -> None:
    path = folder / os.fsdecode(b"B\xfccher.db")
    shutil.copyfile(sqlite_backend.migrated().removeprefix("sqlite:///"), path)
    with in_process(database_url=f"sqlite:///{path}") as client:
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
        assert client.get("/todos/1").status_code == 200


LATE = """
revision = "9999"
down_revision = "{}"
"""


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_command(
    folder: Path, sqlite_backend: SQLite, one_more_migration: Path
) -> None:
    command = ("todo_api", "--port", "0", "--workers", "2")
    with starting(folder, *command, TODO_DATABASE_URL=sqlite_backend.migrated()) as server:
        server.wait_until_said("todo_api serves")
        one_more_migration.write_text(
            LATE.format(newest_revision())
        )  # the workers, which take a second to come up, ask for it

        assert server.process.wait(PATIENCE) == 3
        assert "run: alembic upgrade head" in server.output


VERSION = "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version VALUES ('{}')"
FOREIGN = {
    "a table todo_items": "CREATE TABLE todo_items (id INTEGER, title TEXT)",
    "an alembic_version": VERSION.format("ae1027a6acf"),
    "numbers of its own": VERSION.format("0003"),
}


def check_refused(url: str, words: str, *commands: str) -> None:
    """Whichever way it is started, the server says in one line why it can't, and ends."""
    for command in commands or ("todo_api --port 0", "uvicorn todo_api.main:app --port 0"):
        refused = run(*command.split(), TODO_DATABASE_URL=url)
        said = [line for line in refused.stderr.splitlines() if "todo_api: " in line]
        assert refused.returncode != 0
        assert len(said) == 1
        assert words in said[0]
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_database_of_another_application_is_left_alone(backend: Backend, statements: str) -> None:
    url = backend.empty()
    migrate(url, "current")  # which makes the file of a SQLite database
    for statement in statements.split("; "):
        execute(url, statement)

    check_refused(url, "the database is another application's")


def test_a_database_that_is_newer_than_the_code_says_how_to_go_on(backend: Backend) -> None:
    url = backend.migrated()
    execute(url, "UPDATE alembic_version SET version_num = '9998'")

    check_refused(url, f"alembic downgrade {newest_revision()}")


def test_a_role_that_may_make_no_tables_is_told_what_it_needs(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.empty()
    execute(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        postgresql_backend.execute("CREATE ROLE maker LOGIN")
        check_refused(as_role(url, "maker"), "permission denied for schema public; GRANT it", "todo_api --port 0")
        check_refused(as_role(url, "maker"), "run: alembic upgrade head", "uvicorn todo_api.main:app --port 0")
    finally:
        postgresql_backend.execute("DROP ROLE maker")


def as_role(url: str, name: str) -> str:
    return make_url(url).set(username=name).render_as_string(hide_password=False)
