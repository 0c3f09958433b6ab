"""Backups: saved while they are served, and put back."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import httpx2 as httpx
import pytest

from tests.databases import ROOT, SQLite, migrate
from tests.servers import PATIENCE, run, serving


@pytest.fixture
def database(sqlite_backend: SQLite) -> Path:
    return Path(sqlite_backend.migrated().removeprefix("sqlite:///"))


def url(database: Path) -> str:
    return f"sqlite:///{database}"


def command(database: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("todo_api", *map(str, arguments), TODO_DATABASE_URL=url(database))


def add(database: Path, *tasks: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for task in tasks:
            connection.execute(
                "INSERT INTO todo_items (owner, task, task_folded, complete) VALUES ('local', ?, ?, false)",
                (task, task.lower()),
            )


def tasks(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [task for (task,) in connection.execute("SELECT task FROM todo_items ORDER BY id")]


def spoil(database: Path) -> None:
    """Overwrite a page of the middle with junk."""
    with database.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(os.urandom(4096))


class Writer:
    """Creates todos until it is told to stop; `created` are those that were acknowledged, in their order."""

    def __init__(self, address: httpx.URL) -> None:
        self._address = address
        self._stop = Event()
        self.created: list[str] = []
        self.refused: list[httpx.Response] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._address, timeout=PATIENCE) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                answer = client.post("/todos", json={"task": f"task {number}"})
                if answer.status_code == 201:
                    self.created.append(f"task {number}")
                else:
                    self.refused.append(answer)

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def writing(client: httpx.Client) -> Iterator[Writer]:
    writer = Writer(client.base_url)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(writer.run)
        try:
            yield writer
        finally:
            writer.stop()
            running.result()


@pytest.mark.slow
def test_a_backup_is_one_snapshot_while_others_write(folder: Path, database: Path) -> None:
    add(database, *(f"old {number}" for number in range(2000)))
    copy = folder / "copy.db"
    with serving(folder, TODO_DATABASE_URL=url(database)) as (_, client), writing(client) as writer:
        while len(writer.created) < 20:
            pass
        before = list(writer.created)
        saved = command(database, "backup", copy)
    assert (saved.returncode, saved.stderr) == (0, "")
    assert saved.stdout.startswith(f"saved {database} to {copy}: ")
    kept = tasks(copy)[2000:]
    assert kept[: len(before)] == before
    assert kept == writer.created[: len(kept)]
    assert writer.refused == []
    assert sorted(path.name for path in folder.glob("copy*")) == ["copy.db"]
    assert copy.stat().st_mode == database.stat().st_mode


def test_a_backup_goes_to_standard_output(database: Path, folder: Path) -> None:
    add(database, "Buy milk")
    saved = subprocess.run(
        [sys.executable, "-m", "todo_api", "backup", "-"],
        cwd=ROOT,
        env=os.environ | {"TODO_DATABASE_URL": url(database)},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )

    copy = folder / "copy.db"
    copy.write_bytes(saved.stdout)
    assert tasks(copy) == ["Buy milk"]


def test_a_backup_is_not_migrated(database: Path, folder: Path) -> None:
    migrate(url(database), "downgrade", "0007")
    assert command(database, "backup", folder / "copy.db").returncode == 0
    with closing(sqlite3.connect(folder / "copy.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0007",)


def test_a_backup_of_a_damaged_database_leaves_the_older_one(database: Path, folder: Path) -> None:
    copy = folder / "copy.db"
    add(database, "Buy milk")
    assert command(database, "backup", copy).returncode == 0
    spoil(database)
    refused = command(database, "backup", copy)

    assert refused.returncode == 1
    assert refused.stderr.startswith("todo_api: the database is damaged: ")
    assert refused.stderr.count("\n") == 1
    assert tasks(copy) == ["Buy milk"]
    assert [path.name for path in folder.iterdir()] == ["copy.db"]


@pytest.mark.slow
def test_a_backup_never_goes_over_a_database_in_use(database: Path, folder: Path, sqlite_backend: SQLite) -> None:
    other = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    link = folder / "link.db"
    link.symlink_to(database)
    with serving(folder, TODO_DATABASE_URL=url(other)) as (_, client):
        client.get("/todos")
        for file, said in (
            (other, f"{other}-wal shows that {other} is a database in use; name another file"),
            (database, f"{database} is the database itself; name another file"),
            (link, f"{link} is the database itself; name another file"),
            (Path(f"{database}-wal"), f"{database}-wal is the database itself; name another file"),
            (folder, f"{folder} is not a file"),
            (folder / "none" / "copy.db", f"cannot write to {folder / 'none'}: No such file or directory"),
        ):
            refused = command(database, "backup", file)
            assert (refused.returncode, refused.stderr) == (1, f"todo_api: {said}\n")
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201


def test_a_backup_of_no_database_is_refused(folder: Path) -> None:
    refused = command(folder / "none.db", "backup", folder / "copy.db")

    assert (refused.returncode, refused.stderr) == (1, f"todo_api: there is no file {folder / 'none.db'}\n")
    assert list(folder.iterdir()) == []


def test_postgresql_is_saved_by_its_own_command(folder: Path) -> None:
    refused = run(
        "todo_api", "backup", "my todos", TODO_DATABASE_URL="postgres://me:hunter2@db.example/todo?sslmode=require"
    )

    assert refused.returncode == 1
    line = "pg_dump --format=custom --file='my todos' '--dbname=postgresql://me@db.example/todo?sslmode=require'"
    assert refused.stderr == f"todo_api: PostgreSQL has a command of its own: {line}\n"
