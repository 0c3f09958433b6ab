"""A SQLite database whose files are touched while it is served: what is acknowledged is kept, or it is refused."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.applications import command
from tests.databases import SQLite
from tests.servers import PATIENCE, Server, run, serving
from todo_api.database.sqlite.driver import FileConnection
from todo_api.features.purge import DELAY

pytestmark = pytest.mark.slow  # each starts a server of its own

TWO_WORKERS = ("todo_api", "--port", "0", "--workers", "2")


@pytest.fixture
def database(sqlite_backend: SQLite) -> Path:
    return Path(sqlite_backend.migrated().removeprefix("sqlite:///"))


def url(database: Path) -> str:
    return f"sqlite:///{database}"


@contextmanager
def serving_todos(folder: Path, database: Path, *arguments: str) -> Iterator[tuple[Server, httpx.Client]]:
    with serving(folder, *arguments, TODO_DATABASE_URL=url(database)) as (server, client):
        for number in range(50):
            assert client.post("/todos", json={"task": f"old {number}"}).status_code == 201
        assert client.get("/todos/1").status_code == 200
        yield server, client


def tasks(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [task for (task,) in connection.execute("SELECT task FROM todo_items ORDER BY id")]


def wait_until_ready(client: httpx.Client, status: int = 200) -> None:
    deadline = time.monotonic() + PATIENCE
    while client.get("/readyz").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks


def create(server: Server, count: int, name: str) -> list[str]:
    """Create todos, each over a new connection; the tasks of those that were acknowledged."""
    created = []
    for number in range(count):
        answer = httpx.post(f"{server.url}/todos", json={"task": f"{name} {number}"}, timeout=PATIENCE)
        assert answer.status_code in (201, 503)
        if answer.status_code == 201:
            created.append(f"{name} {number}")
    return created


def test_what_another_process_wrote_after_the_shared_memory_was_deleted_is_kept(folder: Path, database: Path) -> None:
    with serving_todos(folder, database) as (server, client):
        Path(f"{database}-shm").unlink()
        for owner in ("alice", "bob", "carol"):
            command(url(database), "token", "create", owner)

        assert client.post("/todos", json={"task": "refused"}).status_code == 503
        assert client.post("/todos", json={"task": "new"}).status_code == 201
        listed = command(url(database), "token", "list")
        assert [line.split()[1] for line in listed.splitlines()[1:]] == ["alice", "bob", "carol"]
        assert server.stop() == 0
    assert command(url(database), "token", "list") == listed
    assert tasks(database) == [*(f"old {number}" for number in range(50)), "new"]


def test_an_idle_server_that_ends_after_the_shared_memory_was_deleted_takes_nothing_with_it(
    folder: Path, database: Path
) -> None:
    with serving_todos(folder, database) as (server, _):
        Path(f"{database}-shm").unlink()
        command(url(database), "token", "create", "alice")
        assert server.stop() == 0
    assert "alice" in command(url(database), "token", "list")
    assert len(tasks(database)) == 50


def test_two_workers_keep_what_they_acknowledge_when_the_shared_memory_is_deleted_and_one_is_killed(
    folder: Path, database: Path
) -> None:
    with serving_todos(folder, database, *TWO_WORKERS) as (server, _):
        created = create(server, 50, "before")
        Path(f"{database}-shm").unlink()
        workers = [
            each for each in psutil.Process(server.process.pid).children() if "spawn_main" in str(each.cmdline())
        ]
        workers[0].kill()
        created += create(server, 600, "after")
        assert server.stop() == 0
    assert len(created) > 500
    assert tasks(database) == [*(f"old {number}" for number in range(50)), *created]


def test_a_copy_over_the_database_is_noticed_before_anything_is_written(folder: Path, database: Path) -> None:
    copy = folder / "copy.db"
    with serving_todos(folder, database) as (server, client):
        assert run("todo_api", "backup", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        create(server, 100, "gone")
        shutil.copyfile(copy, database)

        for _ in range(3):
            assert client.post("/todos", json={"task": "refused"}).status_code == 503
            assert client.get("/readyz").status_code == 503
        server.wait_until_said(f"{database} is damaged: ")
        assert server.output.count("something else than SQLite wrote to it") == 1
        assert run("todo_api", "restore", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        wait_until_ready(client)
        created = create(server, 50, "after")
        assert len(created) == 50
        assert server.stop() == 0
    assert tasks(database) == [*(f"old {number}" for number in range(50)), *created]


def test_a_database_that_only_looks_overwritten_is_served_on(folder: Path, database: Path) -> None:
    with serving_todos(folder, database) as (server, client):
        database.touch()

        assert client.post("/todos", json={"task": "refused"}).status_code == 503
        wait_until_ready(client)
        client.get("/todos/1")
        assert client.post("/todos", json={"task": "after"}).status_code == 201
        assert server.stop() == 0
        assert f"{database} is sound: writes are served again" in server.output
    assert tasks(database) == [*(f"old {number}" for number in range(50)), "after"]


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_copy_over_a_database_just_opened_can_be_restored_over(
    folder: Path, database: Path, is_noticed: bool
) -> None:
    """A backup has no write-ahead log, and here nothing is in that of the database: SQLite takes the copy as it is."""
    copy = folder / "copy.db"
    with serving_todos(folder, database) as (server, _):
        assert run("todo_api", "backup", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        create(server, 20, "gone")
        assert server.stop() == 0
    with serving(folder, TODO_DATABASE_URL=url(database)) as (server, client):
        assert client.get("/todos/1").status_code == 200
        shutil.copyfile(copy, database)
        if is_noticed:
            assert client.post("/todos", json={"task": "refused"}).status_code == 503
        done = run("todo_api", "restore", str(copy), TODO_DATABASE_URL=url(database))

        assert done.returncode == 0, done.stderr
        client.post("/todos?dry_run=true", json={"task": "tried"})  # an idle server notices at its next request
        wait_until_ready(client)
        created = create(server, 20, "after")
        assert len(created) == 20
        assert server.stop() == 0
    assert tasks(database) == [*(f"old {number}" for number in range(50)), *created]


def test_a_process_that_nobody_calls_lets_go_of_a_touched_file(folder: Path, database: Path) -> None:
    """A copy of a backup has no log, and nobody can begin one while another has the file open."""
    copy = folder / "copy.db"
    with (
        serving_todos(folder, database) as (busy, client),
        serving(folder, TODO_DATABASE_URL=url(database)) as (idle, _),
    ):
        assert httpx.get(f"{idle.url}/todos/1", trust_env=False).status_code == 200
        assert run("todo_api", "backup", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        time.sleep(DELAY + 1)  # until the first purge is over, which would see it as well
        shutil.copyfile(copy, database)
        Path(f"{database}-wal").unlink()  # as SQLite does when it sees the file just truncated
        deadline = time.monotonic() + PATIENCE
        while client.post("/todos", json={"task": "after"}).status_code != 201:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # between two attempts
        assert busy.stop() == idle.stop() == 0
    assert tasks(database) == [*(f"old {number}" for number in range(50)), "after"]


def test_a_closed_connection_lets_go_of_the_file_whatever_still_refers_to_its_cursors(database: Path) -> None:
    """An error refers to the cursor of its statement until Python collects garbage, which a server does seldom."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as other:
        connection = sqlite3.connect(database, factory=FileConnection)
        cursor = connection.execute("SELECT version_num FROM alembic_version")
        connection.close()

        assert cursor is not None
        # Which needs the database for itself.
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


def spoil(database: Path) -> None:
    """Overwrite the pages of the table's rows, so that SQLite finds it when it reads them."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'todo_items'").fetchone()
    before = database.stat()
    with database.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\x09" * 4096)
    os.utime(database, ns=(before.st_atime_ns, before.st_mtime_ns))  # a disk that fails says nothing


def test_a_damaged_database_takes_no_write_until_a_backup_is_put_back(folder: Path, database: Path) -> None:
    copy = folder / "copy.db"
    with serving_todos(folder, database) as (server, _):
        assert run("todo_api", "backup", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        server.stop(signal.SIGTERM)
    spoil(database)
    with serving(folder, TODO_DATABASE_URL=url(database)) as (server, client):
        assert client.get("/readyz").status_code == 200
        assert client.get("/todos/1").status_code == 500
        for _ in range(3):
            refused = client.post("/todos", json={"task": "refused"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "may be damaged" in refused.json()["detail"]
            assert client.get("/readyz").status_code == 503
            assert client.get("/livez").status_code == 200
        server.wait_until_said("is damaged: ")
        assert server.output.count("python -m todo_api restore FILE") == 1

        assert run("todo_api", "restore", str(copy), TODO_DATABASE_URL=url(database)).returncode == 0
        wait_until_ready(client)
        assert client.post("/todos", json={"task": "after"}).status_code == 201
        assert client.get("/todos/1").json()["task"] == "old 0"
        assert server.stop() == 0
    assert tasks(database) == [*(f"old {number}" for number in range(50)), "after"]
