"""The addresses of databases: what providers hand out works, or is refused in a line that names the option."""

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.applications import in_process
from tests.databases import PostgreSQL, SQLite, migrate
from tests.servers import run
from todo_api.database.engines import parse_url
from todo_api.settings import load_settings


def check_served(url: str) -> None:
    with in_process(database_url=url) as client:
        created = client.post("/todos", json={"task": "Buy milk"})
        assert created.status_code == 201
        assert client.get(created.headers["location"]).json() == created.json()


FORMS = {
    "as it is": "postgresql://postgres:secret@/{database}?host={host}&port={port}",
    "the shorter scheme": "postgres://postgres@/{database}?host={host}&port={port}",
    "a scheme in capitals": "POSTGRESQL://postgres@/{database}?host={host}&port={port}",
    "the driver's name": "postgresql+asyncpg://postgres@/{database}?host={host}&port={port}",
    "a line feed at its end": " postgresql://postgres@/{database}?host={host}&port={port}\r\n",
    "all in the query": "postgresql:///?user=postgres&dbname={database}&host={host}&port={port}",
    "a socket for a host": "postgresql://postgres@{quoted}:{port}/{database}",
    "several hosts, of which the first is away": "postgresql://postgres@127.0.0.1:1,{quoted}:{port}/{database}",
    "several hosts in the query": "postgresql://postgres@/{database}?host={host},127.0.0.1&port={port},1",
    "Neon's option": "postgresql://postgres@/{database}?host={host}&port={port}&channel_binding=require",
    "a time to connect": "postgresql://postgres@/{database}?host={host}&port={port}&connect_timeout=10",
    "TCP's keep-alive": "postgresql://postgres@/{database}?host={host}&port={port}&keepalives_idle=30",
    "the kind of server": "postgresql://postgres@/{database}?host={host}&port={port}&target_session_attrs=read-write",
    "TLS if it is there": "postgresql://postgres@/{database}?host={host}&port={port}&sslmode=prefer",
    "TLS as Node.js says it": "postgresql://postgres@/{database}?host={host}&port={port}&ssl=false",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_an_address_leads_to_its_database_in_any_usual_form(postgresql_backend: PostgreSQL, form: str) -> None:
    with postgresql_backend.lent() as url:
        known = make_url(url)
        host, port = str(known.query["host"]), known.port or 5432
        check_served(form.format(database=known.database, host=host, port=port, quoted=host.replace("/", "%2F")))


@pytest.mark.slow
def test_a_host_that_does_not_answer_is_passed_over(postgresql_backend: PostgreSQL) -> None:
    with postgresql_backend.lent() as url, socket.create_server(("127.0.0.1", 0)) as silent:
        known = make_url(url)
        hosts = f"host=127.0.0.1,{known.query['host']}&port={silent.getsockname()[1]},{known.port or 5432}"
        for attributes in ("any", "read-write", "prefer-standby"):
            check_served(f"postgresql://postgres@/{known.database}?{hosts}&target_session_attrs={attributes}")


def test_the_application_has_the_name_and_the_options_of_the_address(postgresql_backend: PostgreSQL) -> None:
    url = f"{postgresql_backend.empty()}&application_name=shop&options=-csearch_path%3Dother"
    postgresql_backend.execute("CREATE SCHEMA other", url=url)
    migrate(url, "upgrade", "head")
    check_served(url)

    found = run("todo_api", "token", "create", "alice", TODO_DATABASE_URL=url)
    assert found.returncode == 0, found.stderr
    postgresql_backend.execute(
        "DO $$ BEGIN ASSERT to_regclass('public.todo_items') IS NULL; END $$",
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM other.access_tokens) = 1; END $$",
        "DO $$ BEGIN ASSERT current_setting('application_name') = 'shop'; END $$",
        url=url,
    )


SERVER = "postgresql://me:hunter2@127.0.0.1:1/todo"
PARTS = {
    "postgresql://me:p%40s%2Fs%2B@host/todo": ("me", "p@s/s+", "host", None, "todo", {}),
    "postgresql://me:p/w?#+@host:5433/todo": ("me", "p/w?#+", "host", 5433, "todo", {}),
    "postgresql://host:5433/todo?application_name=a@b+c": (
        None, None, "host", 5433, "todo", {"application_name": "a@b+c"},
    ),
    "postgresql://me@[::1]:5433/todo": ("me", None, "::1", 5433, "todo", {}),
    "postgresql://me@%2Fcloudsql%2Fa%3Ab%3Ac/todo": (
        "me", None, None, None, "todo", {"host": "/cloudsql/a:b:c", "port": "5432"},
    ),
    "postgresql://me@/todo?host=/cloudsql/a:b:c": ("me", None, None, None, "todo", {"host": "/cloudsql/a:b:c"}),
    "postgresql://me@one,two:5433/todo": ("me", None, None, None, "todo", {"host": "one,two", "port": "5432,5433"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), PARTS.items(), ids=PARTS)
def test_the_parts_of_an_address_are_read_as_libpq_reads_them(text: str, parts: tuple[object, ...]) -> None:
    url = parse_url(text)

    assert (url.username, url.password, url.host, url.port, url.database, dict(url.query)) == parts


REFUSED = {
    "a password with a sign that means something": ("postgresql://me:hun@ter2@host/todo", "is not a database URL"),
    "an unknown option": (f"{SERVER}?colour=red", "has the unknown option 'colour'"),
    "a misspelt one": (f"{SERVER}?sslmod=require", "has the unknown option 'sslmod'; did you mean 'sslmode'?"),
    "one of a driver": (f"{SERVER}?statement_cache_size=0", "has the unknown option 'statement_cache_size'"),
    "a wrong value": (f"{SERVER}?sslmode=yes", "has the option sslmode with the wrong value 'yes': it must match dis"),
    "a file that is not there": (
        f"{SERVER}?sslrootcert=/no/ca.crt",
        "has the option sslrootcert, but there is no file",
    ),
    "a wrong pooler": (f"{SERVER}?pooler=statement", "has the option pooler with the wrong value 'statement'"),
    "a second wrong host": ("postgresql://me:hunter2@one:1,two:x/todo", "is not a database URL"),
    "another driver": ("postgresql+psycopg://me:hunter2@one/todo", "names the unknown database 'postgresql+psycopg'"),
}


@pytest.mark.parametrize(("url", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_what_an_address_can_not_have_is_said_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, url: str, line: str
) -> None:
    monkeypatch.setenv("TODO_DATABASE_URL", url)

    with pytest.raises(SystemExit) as refused:
        load_settings()
    assert str(refused.value).startswith(f"todo_api: TODO_DATABASE_URL: {line}")
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


SHOWN = {
    "postgres://me:hunter2@127.0.0.1:1/todo": "postgres://me:***@127.0.0.1:1/todo",
    "POSTGRESQL://me:hunter2@127.0.0.1:1,127.0.0.1:2/todo?sslmode=prefer\n": (
        "POSTGRESQL://me:***@127.0.0.1:1,127.0.0.1:2/todo?sslmode=prefer"
    ),
    "postgresql://127.0.0.1:1/todo?user=me&password=hunter2": "postgresql://127.0.0.1:1/todo?user=me&password=***",
    "sqlite:////no/such folder/50%?.db": "sqlite:////no/such folder/50%?.db",
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.items(), ids=SHOWN.values())
def test_an_address_is_shown_as_it_was_given_without_the_password(url: str, shown: str) -> None:
    refused = run("todo_api", TODO_DATABASE_URL=url)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"todo_api: cannot open the database {shown}: ")
    assert "hunter2" not in refused.stderr


@pytest.mark.parametrize("name", ["who?.db", "no#1.db", "50%.db", "my todos.db", "a?mode=memory", "%41.db"])
def test_the_name_of_a_sqlite_file_is_taken_as_it_is(folder: Path, sqlite_backend: SQLite, name: str) -> None:
    migrate(f"sqlite:///{folder}/{name}", "upgrade", "head")
    check_served(f"sqlite:///{folder}/{name}")

    assert name in {path.name for path in folder.iterdir()}
    with closing(sqlite3.connect(folder / name)) as connection:
        assert connection.execute("SELECT task FROM todo_items").fetchall() == [("Buy milk",)]


def test_the_address_can_be_in_a_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text("postgresql://me:hunter2@host/todo\n")
    monkeypatch.setenv("TODO_DATABASE_URL_FILE", str(secret))
    monkeypatch.setenv("DATABASE_URL", "postgresql://of.the.platform/other")
    assert load_settings().database_url == parse_url("postgresql://me:hunter2@host/todo")

    monkeypatch.setenv("TODO_DATABASE_URL", "sqlite:///todo.db")
    with pytest.raises(SystemExit, match="TODO_DATABASE_URL and TODO_DATABASE_URL_FILE: set one of them"):
        load_settings()
    monkeypatch.delenv("TODO_DATABASE_URL")
    secret.write_text("hunter2")
    with pytest.raises(SystemExit, match="TODO_DATABASE_URL_FILE: is not a database URL"):
        load_settings()
    secret.unlink()
    with pytest.raises(SystemExit, match="TODO_DATABASE_URL_FILE: can't be read: No such file"):
        load_settings()
