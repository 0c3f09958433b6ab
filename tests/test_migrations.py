"""The migrations, on both kinds of database."""

import asyncio
import re
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.applications import in_process
from tests.databases import ROOT, Backend, migrate
from todo_api.database import Database, parse_url


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    async def run() -> list[tuple[object, ...]]:
        database = Database(parse_url(url))
        try:
            async with database.writer.begin() as connection:
                result = await connection.run_sync(lambda sync: sync.execute(text(statement)))
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            await database.dispose()

    return asyncio.run(run())


def test_every_migration_goes_up_and_down_and_up_again_and_keeps_what_it_can(backend: Backend) -> None:
    url = backend.empty()
    migrate(url, "upgrade", "0001")
    execute(url, "INSERT INTO todo_items (task, complete) VALUES ('Buy milk', false), ('Buy bread', true)")

    for revisions in (("upgrade", "head"), ("downgrade", "0001"), ("upgrade", "head")):
        migrate(url, *revisions)

        assert execute(url, "SELECT id, task, complete FROM todo_items ORDER BY id") == [
            (1, "Buy milk", False),
            (2, "Buy bread", True),
        ]
    migrate(url, "downgrade", "base")
    migrate(url, "upgrade", "head")
    assert execute(url, "SELECT count(*) FROM todo_items") == [(0,)]


def test_todos_of_before_there_were_owners_are_local_and_no_id_is_given_again(backend: Backend) -> None:
    url = backend.empty()
    migrate(url, "upgrade", "0002")
    execute(url, "INSERT INTO todo_items (task, complete) VALUES ('Buy milk', false), ('Buy bread', true)")
    execute(url, "DELETE FROM todo_items WHERE id = 2")
    migrate(url, "upgrade", "head")

    assert execute(url, "SELECT id, task, owner FROM todo_items") == [(1, "Buy milk", "local")]
    with in_process(database_url=url) as client:
        assert [todo["id"] for todo in client.get("/todos").json()] == [1]
        assert client.post("/todos", json={"task": "Buy oil"}).json()["id"] == 3


def test_the_migrations_make_just_the_tables_of_the_models(database_url: str) -> None:
    assert "No new upgrade operations detected." in migrate(database_url, "check")


def test_a_generated_migration_is_the_same_on_both_databases(
    sqlite_backend: Backend, postgresql_backend: Backend, request: pytest.FixtureRequest
) -> None:
    generated = []
    for backend in (sqlite_backend, postgresql_backend):
        url = backend.empty()
        path = ROOT / "migrations" / "versions" / "9999_generated.py"
        request.addfinalizer(partial(path.unlink, missing_ok=True))
        migrate(url, "upgrade", "head")
        execute(url, "DROP TABLE todo_items")
        migrate(url, "revision", "generated", autogenerate=True, rev_id="9999")
        generated.append(path.read_text())
        migrate(url, "upgrade", "head")
        assert "No new upgrade operations detected." in migrate(url, "check")
        path.unlink()

    assert generated[0] == generated[1]
    assert "sqlmodel" not in generated[0]
    assert "sqlite_autoincrement=True" in generated[0]


def test_migrations_stand_alone() -> None:
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        assert re.findall(r"^(?:from|import) (\S+)", path.read_text(), re.MULTILINE) == ["sqlalchemy", "alembic"]


FAILING = """
from alembic import op

revision = "9998"
down_revision = "{}"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("SELECT nothing FROM nowhere")
"""


def test_a_migration_that_fails_leaves_nothing_behind(
    backend: Backend, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = ROOT / "migrations" / "versions" / "9998_failing.py"
    request.addfinalizer(partial(path.unlink, missing_ok=True))
    path.write_text(FAILING.format(newest_revision()))
    url = backend.migrated()

    with pytest.raises(SQLAlchemyError):
        migrate(url, "upgrade", "head")

    path.unlink()
    execute(url, "CREATE TABLE half (id INTEGER)")
    assert "No new upgrade" not in migrate(url, "current")


def newest_revision() -> str:
    return max(path.name.split("_")[0] for path in (ROOT / "migrations" / "versions").glob("0*.py"))


def test_the_migrations_can_be_written_as_sql(backend: Backend) -> None:
    script = migrate(backend.empty(), "upgrade", "head", sql=True)

    assert "CREATE TABLE todo_items" in script
