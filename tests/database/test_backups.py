"""Backups: saved while they are served, and put back."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
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
    assert refused.stderr.startswith(f"todo_api: {database} is damaged: ")
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
        "todo_api",
        "backup",
        "my todos",
        TODO_DATABASE_URL="postgres://me:hunter2@db.example/todo?sslmode=require&pooler=transaction",
    )

    assert refused.returncode == 1
    line = "pg_dump --format=custom --file='my todos' '--dbname=postgresql://me@db.example/todo?sslmode=require'"
    assert refused.stderr == f"todo_api: PostgreSQL has a command of its own: {line}\n"


def test_postgresql_is_put_back_by_its_own_command() -> None:
    refused = run("todo_api", "restore", "my todos", TODO_DATABASE_URL="postgres://me:hunter2@db.example/todo")

    assert refused.returncode == 1
    line = "pg_restore --clean --if-exists --single-transaction --dbname=postgresql://me@db.example/todo 'my todos'"
    assert refused.stderr == f"todo_api: PostgreSQL has a command of its own: {line}\n"


def kept_beside(database: Path) -> Path:
    (kept,) = database.parent.glob(f"{database.name}.before-*Z")
    return kept


@pytest.fixture
def backup(database: Path, folder: Path) -> Path:
    """A backup of the database with one todo, "From the backup"; another one was added to the database since."""
    add(database, "From the backup")
    copy = folder / "backup.db"
    assert command(database, "backup", copy).returncode == 0
    add(database, "Since then")
    return copy


@pytest.mark.slow
def test_what_is_acknowledged_around_a_restore_is_in_one_of_the_two_databases(
    folder: Path, database: Path, backup: Path
) -> None:
    arguments = ("todo_api", "--port", "0", "--workers", "2")
    with serving(folder, *arguments, TODO_DATABASE_URL=url(database)) as (server, client):
        with writing(client) as writer:
            while len(writer.created) < 20:
                pass
            restored = command(database, "restore", backup)
            number = len(writer.created)
            while len(writer.created) < number + 20:
                pass
        assert (restored.returncode, restored.stderr) == (0, "")
        kept = kept_beside(database)
        assert restored.stdout.rstrip().endswith(f" s; what was there is kept in {kept}")

        before, after = tasks(kept), tasks(database)
        assert before[:2] == ["From the backup", "Since then"]
        assert before[2:] + after[1:] == writer.created
        assert len(after) > 20
        for _ in range(20):
            listed = httpx.get(f"{server.url}/todos?limit=1&q=backup").json()
            assert [todo["task"] for todo in listed] == ["From the backup"]
            assert httpx.get(f"{server.url}/todos?q=Since").json() == []
        assert writer.refused == []
        assert server.stop() == 0


@pytest.mark.slow
def test_a_restore_that_is_killed_half_way_leaves_what_was_there(folder: Path, database: Path, backup: Path) -> None:
    add(database, *(f"task {number} " + "x" * 400 for number in range(5000)))
    before = tasks(database)
    restore = subprocess.Popen(
        [sys.executable, "-m", "todo_api", "restore", backup],
        cwd=ROOT,
        env=os.environ | {"TODO_DATABASE_URL": url(database)},
    )
    while not list(database.parent.glob(f"{database.name}.before-*")):
        assert restore.poll() is None
    restore.kill()

    assert restore.wait(PATIENCE) == -9
    assert tasks(database) == before
    with serving(folder, TODO_DATABASE_URL=url(database)) as (_, client):
        assert client.post("/todos", json={"task": "Go on"}).status_code == 201


def test_a_backup_of_an_older_schema_is_migrated(database: Path, folder: Path, sqlite_backend: SQLite) -> None:
    older = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    add(older, "Äpfel")
    migrate(url(older), "downgrade", "0007")
    as_it_was = older.read_bytes()
    assert command(database, "restore", older).returncode == 0

    assert tasks(database) == ["Äpfel"]
    assert "(head)" in migrate(url(database), "current")
    with serving(folder, TODO_DATABASE_URL=url(database)) as (_, client):
        assert [todo["task"] for todo in client.get("/todos?q=apfel").json()] == ["Äpfel"]
    assert older.read_bytes() == as_it_was


def test_a_backup_is_put_back_over_a_plain_copy_of_one(database: Path, folder: Path, backup: Path) -> None:
    """Such a copy has no write-ahead log, and SQLite then lets nobody read what is being replaced."""
    there = tasks(backup)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM todo_items")
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")
    done = run("todo_api", "restore", str(backup), TODO_DATABASE_URL=url(database))

    assert done.returncode == 0, done.stderr
    assert tasks(database) == there
    (kept,) = database.parent.glob(f"{database.name}.before-*")
    assert tasks(kept) == []


def test_a_database_is_not_put_back_as_itself(database: Path) -> None:
    add(database, "Milk")
    refused = command(database, "restore", database)
    assert refused.returncode != 0
    assert refused.stderr.strip() == f"todo_api: {database} is the database itself"
    assert tasks(database) == ["Milk"]


def _garble(file: Path) -> None:
    file.write_text("no database")


def _take_schema(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE alembic_version")


def _make_newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


WRONG = {
    "missing": (Path.unlink, "there is no file {0}"),
    "no database": (_garble, "{0} can't be read: file is not a database"),
    "damaged": (spoil, "{0} is damaged: "),
    "of another program": (_take_schema, "{0} is not a database of todo_api"),
    "newer": (_make_newer, "{0} is at migration 9999, of a newer version of todo_api: install that one"),
}


@pytest.mark.parametrize(("harm", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_file_that_can_not_be_put_back_changes_nothing(
    database: Path, backup: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(backup)
    refused = command(database, "restore", backup)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"todo_api: {said.format(backup)}")
    assert refused.stderr.count("\n") == 1
    assert tasks(database) == ["From the backup", "Since then"]
    assert [path.name for path in database.parent.glob(f"{database.name}?*")] == []


def test_a_backup_is_put_where_no_database_is(database: Path, folder: Path, backup: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM todo_items")
        connection.commit()
        shutil.copyfile(f"{database}-wal", folder / "log")
    database.unlink()
    shutil.copyfile(folder / "log", f"{database}-wal")  # of the database that is gone
    assert command(database, "restore", backup).returncode == 0

    assert tasks(database) == ["From the backup"]


@pytest.mark.slow
def test_a_backup_replaces_a_file_that_is_no_database_any_more(folder: Path, database: Path, backup: Path) -> None:
    with serving(folder, TODO_DATABASE_URL=url(database)) as (server, client):
        assert client.post("/todos", json={"task": "x"}).status_code == 201
        database.write_bytes(b"junk" * 10_000)
        assert command(database, "restore", backup).returncode == 0
        assert kept_beside(database).read_bytes() == b"junk" * 10_000

        client.get("/todos")
        client.put("/todos/1", json={})  # what reads and what writes notice it each for itself
        assert client.post("/todos", json={"task": "Go on"}).status_code == 201
        assert [todo["task"] for todo in client.get("/todos").json()] == ["From the backup", "Go on"]
        assert server.stop() == 0
    assert tasks(database) == ["From the backup", "Go on"]
