"""The migrations, on both kinds of database."""

import asyncio
import logging
import re
import shutil
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from tests.applications import in_process
from tests.databases import ROOT, Backend, PostgreSQL, migrate
from todo_api.database.engines import Database, parse_url


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    async def run() -> list[tuple[object, ...]]:
        database = Database(parse_url(url))
        try:
            async with database.engine.begin() as connection:
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


def test_members_that_are_added_get_a_value_for_the_rows_that_are_there(backend: Backend) -> None:
    url = backend.empty()
    migrate(url, "upgrade", "0001")
    execute(
        url, "INSERT INTO todo_items (task, complete) VALUES ('Buy milk', false), ('Buy bread', true), ('Gone', true)"
    )
    execute(url, "DELETE FROM todo_items WHERE id = 3")
    migrate(url, "upgrade", "head")

    with in_process(database_url=url) as client:
        milk, bread = client.get("/todos").json()
        found = [
            client.get(f"/todos?{query}").json()
            for query in ("q=read", "sort=-position", "completed_after=2020-01-01T00:00:00Z")
        ]
        new = client.post("/todos", json={"task": "New", "tags": ["a"]}).json()

    assert milk == milk | {"notes": None, "priority": 0, "tags": [], "version": 1, "completed_at": None}
    assert milk["position"] < bread["position"] < new["position"]
    assert bread["completed_at"] == bread["created_at"] == bread["updated_at"] < new["created_at"]
    assert found == [[bread], [bread, milk], [bread]]
    assert new["id"] == 4  # the id of the deleted row is never given again, migrations or not

    for revisions in (("downgrade", "0001"), ("upgrade", "head")):
        migrate(url, *revisions)
    execute(url, "DELETE FROM todo_items WHERE id = 4")
    with in_process(database_url=url) as client:
        assert client.get("/todos?tag=a").json() == []
        assert client.post("/todos", json={"task": "Newer", "tags": ["a"]}).json()["id"] == 5
        assert [todo["id"] for todo in client.get("/todos?tag=a&q=newer").json()] == [5]


def test_without_the_extension_for_it_words_are_found_all_the_same(
    postgresql_backend: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql_backend.empty()
    user = f"plain_{make_url(url).database}"
    postgresql_backend.execute(
        f"CREATE ROLE {user} LOGIN", f'ALTER DATABASE "{make_url(url).database}" OWNER TO {user}'
    )
    plain = make_url(url).set(username=user).render_as_string(hide_password=False)
    execute(
        url, "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$"
    )
    execute(
        url,
        "CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION forbid()",
    )
    with caplog.at_level(logging.WARNING):
        migrate(plain, "upgrade", "head")

    assert "CREATE EXTENSION pg_trgm; CREATE INDEX todo_items_words" in caplog.text
    with in_process(database_url=plain) as client:
        client.post("/todos", json={"task": "Buy milk"})
        assert len(client.get("/todos?q=MILK").json()) == 1
        assert len(client.get("/todos?q=MILK+buy").json()) == 1
    execute(url, f"REASSIGN OWNED BY {user} TO CURRENT_USER")
    postgresql_backend.execute(f"DROP ROLE {user}")


def test_words_have_an_index_before_and_after_it_is_made_anew(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend.migrated()
    found = []
    for revisions in (("downgrade", "0004"), ("upgrade", "head")):
        migrate(url, *revisions)
        found.append(execute(url, "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%gin_trgm_ops%'"))

    assert found == [[("todo_items_search",)], [("todo_items_words",)]]


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


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the migrations, to add to."""
    return shutil.copytree(ROOT / "migrations", tmp_path / "migrations")


def test_a_generated_migration_is_the_same_on_both_databases(
    sqlite_backend: Backend, postgresql_backend: Backend, scripts: Path
) -> None:
    generated = []
    for backend in (sqlite_backend, postgresql_backend):
        url = backend.empty()
        path = scripts / "versions" / "9999_generated.py"
        migrate(url, "upgrade", "head")
        execute(url, "DROP TABLE todo_items")
        migrate(url, "revision", "generated", autogenerate=True, rev_id="9999", scripts=scripts)
        generated.append(path.read_text())
        migrate(url, "upgrade", "head", scripts=scripts)
        assert "No new upgrade operations detected." in migrate(url, "check", scripts=scripts)
        path.unlink()

    assert generated[0] == generated[1]
    assert "sqlmodel" not in generated[0]
    assert "sqlite_autoincrement=True" in generated[0]


def test_migrations_stand_alone() -> None:
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
        assert set(imported) <= {"alembic", "contextlib", "datetime", "logging", "re", "sqlalchemy", "unicodedata"}


FAILING = """
from alembic import op

revision = "9998"
down_revision = "{}"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("SELECT nothing FROM nowhere")
"""


def test_a_migration_that_fails_leaves_nothing_behind(backend: Backend, scripts: Path) -> None:
    (scripts / "versions" / "9998_failing.py").write_text(FAILING.format(newest_revision()))
    url = backend.migrated()

    with pytest.raises(SystemExit, match="cannot use the database"):
        migrate(url, "upgrade", "head", scripts=scripts)

    execute(url, "CREATE TABLE half (id INTEGER)")
    assert "No new upgrade" not in migrate(url, "current")


def newest_revision() -> str:
    return max(path.name.split("_")[0] for path in (ROOT / "migrations" / "versions").glob("0*.py"))


def test_the_migrations_can_be_written_as_sql(backend: Backend) -> None:
    script = migrate(backend.empty(), "upgrade", "head", sql=True)

    assert "CREATE TABLE todo_items" in script


def test_texts_that_are_there_are_folded(backend: Backend) -> None:
    url = backend.empty()
    migrate(url, "upgrade", "0007")
    now = "'2026-11-26 00:00:00.000000+00:00'"
    execute(
        url,
        "INSERT INTO todo_items (owner, task, notes, complete, created_at, updated_at, version) VALUES"
        f" ('local', 'Chambéry', NULL, false, {now}, {now}, 1), ('local', 'x', 'STRASSE', false, {now}, {now}, 1)",
    )
    migrate(url, "upgrade", "head")

    with in_process(database_url=url) as client:
        for words, ids in (("chambery", [1]), ("straße", [2]), ("ch", [1])):
            assert [todo["id"] for todo in client.get("/todos", params={"q": words}).json()] == ids
    migrate(url, "downgrade", "0007")
    assert execute(url, "SELECT task FROM todo_items ORDER BY id") == [("Chambéry",), ("x",)]


def test_a_way_down_that_loses_lists_or_subtasks_is_refused_until_it_is_told_to(backend: Backend) -> None:
    url = backend.migrated()
    with in_process(database_url=url) as client:
        client.post("/lists", json={"name": "Groceries"})
        client.post("/todos", json={"task": "Buy milk", "list_id": 1, "due_on": "2026-12-24"})
        client.post("/todos", json={"task": "Semi-skimmed", "parent_id": 1})
        before = client.get("/todos").json()

    with pytest.raises(SystemExit, match="1 subtasks would no more know their parent"):
        migrate(url, "downgrade", "0009")
    migrate(url, "upgrade", "head")
    with in_process(database_url=url) as client:
        assert client.get("/todos").json() == before
    migrate(url, "downgrade", "0010", lose="subtasks")
    with pytest.raises(SystemExit, match="1 lists would be lost"):
        migrate(url, "downgrade", "0009")
    migrate(url, "downgrade", "0009", lose="lists")
    migrate(url, "upgrade", "head")

    with in_process(database_url=url) as client:
        assert client.get("/lists").json() == []
        assert client.get("/todos").json() == [each | {"list_id": None, "parent_id": None} for each in before]
        assert client.get("/todos?q=milk&due_before=2027-01-01").json()[0]["id"] == 1
        assert client.post("/todos", json={"task": "Buy bread"}).json()["id"] == 3


def test_a_way_down_that_loses_the_trash_is_refused_until_it_is_told_to(backend: Backend) -> None:
    url = backend.migrated()
    with in_process(database_url=url) as client:
        for task in ("Buy milk", "Buy bread"):
            client.post("/todos", json={"task": task})
        client.delete("/todos/2")

    with pytest.raises(SystemExit, match="1 todos in the trash would be lost"):
        migrate(url, "downgrade", "0011")
    migrate(url, "downgrade", "0011", lose="trash")
    migrate(url, "upgrade", "head")
    with in_process(database_url=url) as client:
        assert client.get("/trash").json() == []
        assert [todo["id"] for todo in client.get("/todos").json()] == [1]
        assert client.post("/todos", json={"task": "Buy bread"}).json()["id"] == 3
