"""A SQLite database that breaks while the server runs: the right error, one line in the log, and recovery by itself."""

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from random import sample
from time import sleep

import httpx2 as httpx
import pytest

from tests.databases import SQLite, migrate
from tests.servers import Call, Server, at_once, run, serving

pytestmark = pytest.mark.slow  # each starts a server of its own


@pytest.fixture
def database(sqlite_backend: SQLite) -> Path:
    return Path(sqlite_backend.migrated().removeprefix("sqlite:///"))


@contextmanager
def serving_one_todo(folder: Path, database: Path) -> Iterator[tuple[Server, httpx.Client]]:
    with serving(folder, TODO_DATABASE_URL=f"sqlite:///{database}") as (server, client):
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
        assert client.get("/todos/1").status_code == 200  # what reads has opened the file as well
        yield server, client


def check_refusal(answer: httpx.Response, status: int, server: Server) -> None:
    """It is a problem, and said in the log in one line with its cause."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
    server.wait_until_said(answer.headers["x-request-id"])
    (line,) = [line for line in server.output.splitlines() if answer.headers["x-request-id"] in line]
    assert f" {status} " in line
    assert " ms: " in line
    assert "Traceback" not in server.output


def remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{database}{suffix}").unlink()


def tasks(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [task for (task,) in connection.execute("SELECT task FROM todo_items ORDER BY id")]


def test_a_deleted_database_is_refused_and_not_made_anew(folder: Path, database: Path) -> None:
    with serving_one_todo(folder, database) as (server, client):
        remove(database)

        for _ in range(2):
            check_refusal(client.post("/todos", json={"task": "lost"}), 503, server)
            check_refusal(client.get("/todos/1"), 503, server)
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert not database.exists()


@pytest.mark.parametrize("first", ["GET", "PUT"])
def test_a_replaced_database_is_served_from_then_on(
    folder: Path, database: Path, sqlite_backend: SQLite, first: str
) -> None:
    other = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("INSERT INTO todo_items (owner, task, complete) VALUES ('local', 'Other', false)")
    with serving_one_todo(folder, database) as (server, client):
        moved = database.with_name(f"{database.name}.moved")
        database.rename(moved)
        other.rename(database)  # beside the write-ahead log of the file that was there

        check_refusal(client.request(first, "/todos/1", json={}), 503, server)
        client.get("/todos/1")  # what reads and what writes see it each for itself
        client.put("/todos/1", json={})
        assert client.put("/todos/1", json={"complete": True}).json()["task"] == "Other"
        assert client.get("/todos/1").json()["task"] == "Other"
        assert client.get("/todos/1").json()["complete"] is True
        assert client.get("/readyz").status_code == 200
        assert server.stop() == 0
    assert tasks(database) == ["Other"]
    assert tasks(moved) == ["Buy milk"]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def put_backup_in_place(database: Path) -> None:
    """Replace the database by a copy of it that has no write-ahead log until somebody writes to it."""
    backup = database.with_name(f"{database.name}.backup")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"VACUUM INTO '{backup}'")
    backup.rename(database)


@pytest.mark.parametrize("first", ["GET", "PUT"])
def test_a_backup_in_the_place_of_the_database_is_refused_once(folder: Path, database: Path, first: str) -> None:
    with serving_one_todo(folder, database) as (server, client):
        put_backup_in_place(database)

        check_refusal(client.request(first, "/todos/1", json={}), 503, server)
        for method in ("GET", "PUT", "GET", "GET", "PUT"):
            assert client.request(method, "/todos/1", json={}).status_code == 200


def test_no_write_is_lost_when_the_log_that_a_backup_was_given_is_deleted(folder: Path, database: Path) -> None:
    with serving_one_todo(folder, database) as (server, client):
        put_backup_in_place(database)
        check_refusal(client.put("/todos/1", json={}), 503, server)
        assert client.put("/todos/1", json={"task": "Kept"}).status_code == 200
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink()

        check_refusal(client.put("/todos/1", json={"task": "refused"}), 503, server)
        assert client.put("/todos/1", json={"complete": True}).json()["task"] == "Kept"
        assert server.stop() == 0
    assert tasks(database) == ["Kept"]


def test_a_deleted_log_is_seen_behind_a_symbolic_link(folder: Path, database: Path) -> None:
    link = folder / "link.db"
    link.symlink_to(database)
    with serving_one_todo(folder, link) as (server, client):
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink()

        check_refusal(client.post("/todos", json={"task": "refused"}), 503, server)
        assert client.post("/todos", json={"task": "Buy bread"}).status_code == 201
        assert server.stop() == 0
    assert tasks(database) == ["Buy milk", "Buy bread"]


def test_what_a_symbolic_link_leads_to_is_replaced(folder: Path, database: Path, sqlite_backend: SQLite) -> None:
    other = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    with closing(sqlite3.connect(other)) as connection, connection:
        rows = [(f"Other {number}", f"other {number}") for number in range(300)]
        insert = "INSERT INTO todo_items (owner, task, task_folded, complete) VALUES ('local', ?, ?, false)"
        connection.executemany(insert, rows)
    link = folder / "link.db"
    link.symlink_to(database)
    with serving_one_todo(folder, link) as (server, client):
        moved = database.with_name(f"{database.name}.moved")
        database.rename(moved)
        other.rename(database)  # beside the write-ahead log of the file that was there

        check_refusal(client.get("/todos/1"), 503, server)
        assert client.get("/todos/300").json()["task"] == "Other 299"
        assert client.delete("/todos?q=Other").json()["changed"] == 300

        new_link = folder / "new_link.db"
        new_link.symlink_to(moved)
        new_link.rename(link)
        check_refusal(client.get("/todos/1"), 503, server)
        assert client.post("/todos", json={"task": "Go on"}).status_code == 201
        assert server.stop() == 0
    assert tasks(database) == []
    assert tasks(moved) == ["Buy milk", "Go on"]


def test_a_request_waits_for_a_database_that_another_process_has_for_itself(
    folder: Path, database: Path, sqlite_backend: SQLite
) -> None:
    other = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
    with serving_one_todo(folder, database) as (_, client), ExitStack() as stack:
        remove(database)
        other.rename(database)
        holder = stack.enter_context(closing(sqlite3.connect(database, isolation_level=None)))
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("INSERT INTO todo_items (owner, task, complete) VALUES ('local', 'Other', false)")
        client.get("/todos/1")  # sees that the file was replaced
        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(client.get, "/todos/1") for _ in range(4)]
            sleep(0.5)
            assert not any(answer.done() for answer in answers)
            holder.close()
            assert [answer.result().json()["task"] for answer in answers] == ["Other"] * 4


def test_nothing_acknowledged_is_lost_when_the_database_is_replaced_under_load(
    folder: Path, database: Path, sqlite_backend: SQLite
) -> None:
    acknowledged = {"Buy milk"}
    files = [database.with_name(f"{database.name}.{number}") for number in range(4)]
    with serving_one_todo(folder, database) as (server, client), ThreadPoolExecutor(1) as other:
        for number, file in enumerate(files):
            new = Path(sqlite_backend.migrated().removeprefix("sqlite:///"))
            calls: list[Call] = [("POST", "/todos", {"task": f"{number}.{each}"}) for each in range(150)]
            calls += [("GET", "/todos", None)] * 50
            answers = other.submit(at_once, client, sample(calls, len(calls)))
            sleep(0.15)
            database.rename(file)
            new.rename(database)
            assert {answer.status_code for answer in answers.result()} <= {200, 201, 503}
            acknowledged |= {answer.json()["task"] for answer in answers.result() if answer.status_code == 201}
            client.get("/todos/1")  # sees that the file was replaced, if nothing of the load did
            assert client.post("/todos", json={"task": f"{number}"}).status_code == 201
            acknowledged.add(str(number))
        assert server.stop() == 0
    # What was being committed as the file went away is refused, and may be there.
    assert acknowledged <= set(chain.from_iterable(map(tasks, [*files, database])))


def test_no_write_is_lost_when_the_write_ahead_log_is_deleted(folder: Path, database: Path) -> None:
    with serving_one_todo(folder, database) as (server, client):
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink()

        check_refusal(client.post("/todos", json={"task": "refused"}), 503, server)
        client.get("/todos")
        assert client.post("/todos", json={"task": "Buy bread"}).status_code == 201
        assert [todo["task"] for todo in client.get("/todos").json()] == ["Buy milk", "Buy bread"]
        assert server.stop() == 0
    assert tasks(database) == ["Buy milk", "Buy bread"]


def test_a_missing_table_is_an_error_until_it_is_back(folder: Path, database: Path) -> None:
    with serving_one_todo(folder, database) as (server, client), closing(sqlite3.connect(database)) as other:
        other.execute("ALTER TABLE todo_items RENAME TO hidden")
        for _ in range(3):
            check_refusal(client.get("/todos/1"), 500, server)
            check_refusal(client.post("/todos", json={"task": "x"}), 500, server)

        other.execute("ALTER TABLE hidden RENAME TO todo_items")
        assert client.get("/todos/1").status_code == 200
        assert client.post("/todos", json={"task": "x"}).json()["id"] == 2


def test_a_corrupted_file_is_an_error_until_it_is_replaced(
    folder: Path, database: Path, sqlite_backend: SQLite
) -> None:
    with serving_one_todo(folder, database) as (server, client):
        remove(database)
        database.write_bytes(os.urandom(100_000))
        client.get("/todos/1")
        client.put("/todos/1", json={})

        for _ in range(2):
            check_refusal(client.get("/todos/1"), 500, server)
            check_refusal(client.post("/todos", json={"task": "x"}), 503, server)
        remove(database)
        shutil.copyfile(sqlite_backend.migrated().removeprefix("sqlite:///"), database)
        server.wait_until_said("is sound: writes are served again")
        client.get("/todos")
        client.put("/todos/1", json={})
        assert client.get("/todos").json() == []
        assert client.post("/todos", json={"task": "x"}).status_code == 201


@contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Nobody can write to these files, not even who has opened them: as on a disk that turned read-only."""
    subprocess.run(["chattr", "+i", *files], check=True)  # noqa: S607  # by name, as of any system
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)  # noqa: S607  # by name, as of any system


def check_that_it_is_only_read(client: httpx.Client, server: Server) -> None:
    for number in range(3):
        check_refusal(client.put("/todos/1", json={"task": f"task {number}"}), 503, server)
        check_refusal(client.post("/todos", json={"task": "x"}), 503, server)
        assert client.get("/todos/1").json()["task"] == "Buy milk"
        assert client.get("/todos").status_code == 200
        assert client.get("/readyz").status_code == 200


def check_that_it_is_written_to_again(client: httpx.Client, server: Server, database: Path) -> None:
    client.post("/todos", json={"task": "perhaps"})  # it is seen at the first write that fails, at the latest
    assert client.put("/todos/1", json={"task": "Buy bread"}).status_code == 200
    assert client.post("/todos", json={"task": "after"}).status_code == 201
    assert client.get("/todos/1").json()["task"] == "Buy bread"
    assert server.stop() == 0
    assert [task for task in tasks(database) if task != "perhaps"] == ["Buy bread", "after"]


def test_a_file_that_turns_read_only_is_read_until_it_can_be_written_to(folder: Path, database: Path) -> None:
    with serving_one_todo(folder, database) as (server, client):
        with immutable(database, Path(f"{database}-wal")):
            check_that_it_is_only_read(client, server)
        check_that_it_is_written_to_again(client, server, database)


UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
"""Before a command: without the right of root to write to what is read-only."""


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
def test_a_file_that_was_read_only_at_the_start_is_written_to_once_it_may_be(
    folder: Path, database: Path, ended: signal.Signals
) -> None:
    with serving_one_todo(folder, database) as (server, _):
        server.stop(ended)
    database.chmod(0o444)
    url = f"sqlite:///{database}"
    with serving(folder, before=UNPRIVILEGED, TODO_DATABASE_URL=url) as (server, client):
        check_that_it_is_only_read(client, server)
        database.chmod(0o644)
        check_that_it_is_written_to_again(client, server, database)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB, in memory; root alone may have one."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)  # noqa: S607  # by name, as of any system
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # noqa: S607  # by name, as of any system


@contextmanager
def no_room(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b" " * 4096)
    yield
    filler.unlink()


def test_a_full_disk_refuses_writes_serves_reads_and_loses_nothing(
    folder: Path, database: Path, small_disk: Path
) -> None:
    on_disk = small_disk / "todo.db"
    shutil.copyfile(database, on_disk)
    with serving_one_todo(folder, on_disk) as (server, client):
        with no_room(small_disk):
            answers = at_once(client, [("POST", "/todos", {"task": f"task {number}"}) for number in range(200)])
            refused = [answer for answer in answers if answer.status_code != 201]
            assert refused
            for answer in (refused[0], refused[-1]):
                check_refusal(answer, 507, server)
                assert answer.json()["type"] == "/problems/disk-full"
            assert client.get("/todos/1").status_code == 200
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").json() == {"status": "ok", "disk": "full"}

        assert client.get("/readyz").json() == {"status": "ok", "disk": "ok"}
        assert client.post("/todos", json={"task": "after"}).status_code == 201
        kept = {todo["id"]: todo["task"] for todo in client.get("/todos?limit=500").json()}
        created = [each.json() for each in answers if each.status_code == 201]
        assert kept == {1: "Buy milk", **{todo["id"]: todo["task"] for todo in created}, max(kept): "after"}
        assert len(kept) == 2 + len(created)
        assert server.output.count("is full: writes are refused until there is room") == 1


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_on_a_full_disk_serves_reads_and_writes_when_there_is_room(
    folder: Path, database: Path, small_disk: Path, ended: signal.Signals
) -> None:
    on_disk = small_disk / "todo.db"
    shutil.copyfile(database, on_disk)
    with serving_one_todo(folder, on_disk) as (server, client):
        server.stop(ended)
    Path(f"{on_disk}-shm").unlink(missing_ok=True)  # which the machine's restart would have taken
    with no_room(small_disk), serving(folder, TODO_DATABASE_URL=f"sqlite:///{on_disk}") as (server, client):
        assert server.output.count("is full: writes are refused until there is room") == 1
        for _ in range(3):
            check_refusal(client.post("/todos", json={"task": "x"}), 507, server)
            check_refusal(client.put("/todos/1", json={"task": "x"}), 507, server)
            assert client.get("/todos/1").json()["task"] == "Buy milk"
            assert client.get("/readyz").json() == {"status": "ok", "disk": "full"}
        (small_disk / "filler").write_bytes(b"")

        client.post("/todos", json={"task": "perhaps"})  # it is seen at the first write that fails, at the latest
        assert client.put("/todos/1", json={"task": "Buy bread"}).status_code == 200
        assert client.get("/todos/1").json()["task"] == "Buy bread"
        assert client.get("/readyz").json() == {"status": "ok", "disk": "ok"}
        assert server.output.count("is full: writes are refused until there is room") == 1
        assert server.stop() == 0
    assert tasks(on_disk)[0] == "Buy bread"


def test_a_migration_on_a_full_disk_says_so(folder: Path, small_disk: Path, sqlite_backend: SQLite) -> None:
    on_disk = small_disk / "todo.db"
    shutil.copyfile(sqlite_backend.migrated().removeprefix("sqlite:///"), on_disk)
    migrate(f"sqlite:///{on_disk}", "downgrade", "0007")
    with no_room(small_disk):
        refused = run("todo_api", "--port", "0", TODO_DATABASE_URL=f"sqlite:///{on_disk}")

    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "full" in refused.stderr
