"""The commands, run as a person runs them."""

import json
import socket
import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

from tests.databases import ROOT, Backend, SQLite
from tests.servers import OTHER_ROOT, PATIENCE, run, serving, starting
from todo_api import __version__
from todo_api.__main__ import parse_arguments
from todo_api.settings import load_settings


def test_the_command_migrates_serves_and_keeps_todos(folder: Path, backend: Backend) -> None:
    url = backend.empty()
    with serving(folder, TODO_DATABASE_URL=url) as (server, client):
        created = client.post("/todos", json={"task": "Buy milk"})
        assert created.status_code == 201
        assert created.headers["location"] == f"{client.base_url}/todos/1"
        assert client.get("/todos").json() == [created.json()]
        assert client.put("/todos/1", json={"complete": True}).status_code == 200
        assert client.get("/todos/1").json().items() >= {"id": 1, "task": "Buy milk", "complete": True}.items()
        assert client.post("/todos", json={"task": "Stay"}).json()["id"] == 2
        gone = client.delete("/todos/1")
        assert (gone.status_code, gone.content, gone.headers.get("content-type")) == (204, b"", None)
        assert "server" not in gone.headers
        assert server.stop() == 0

    with serving(folder, TODO_DATABASE_URL=url) as (_, client):
        assert [todo["task"] for todo in client.get("/todos").json()] == ["Stay"]


def test_the_command_prints_its_address_and_that_of_the_docs(folder: Path, sqlite_backend: SQLite) -> None:
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.empty()) as (server, _):
        assert f"todo_api serves {server.url}, and describes itself at {server.url}/docs" in server.output


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(load_settings(), ["--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    options = ("--host", "--port", "--workers", "--reload", "--version")
    for option in (*options, "openapi", "token", "owner", "backup", "restore"):
        assert option in shown


def test_the_command_prints_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(load_settings(), ["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"todo_api {__version__}\n"


@pytest.mark.parametrize(
    ("environment", "address"),
    [({}, "http://127.0.0.1:8000"), ({"TODO_URL": "https://example.org/api/"}, "https://example.org/api")],
)
def test_the_document_is_printed_without_a_server_and_a_database(
    folder: Path, sqlite_backend: SQLite, environment: dict[str, str], address: str
) -> None:
    printed = run("todo_api", "openapi", TODO_DATABASE_URL="sqlite:////no/such/folder/todo.db", **environment)
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.empty(), **environment) as (_, client):
        served = client.get("/openapi.json").json()

    assert printed.returncode == 0
    document = json.loads(printed.stdout)
    assert document["servers"] == [{"url": address}]
    assert served["servers"] == [{"url": address if environment else str(client.base_url).rstrip("/")}]
    introduction = document["info"]["description"]
    assert served["info"]["description"] == introduction.replace(address, served["servers"][0]["url"])
    assert document | {"servers": [], "info": {}} == served | {"servers": [], "info": {}}


def test_settings_are_read_from_the_file_env_where_the_environment_has_none(folder: Path) -> None:
    (folder / ".env").write_text("# mine\nTODO_PORT=8123\nTODO_HOST='127.0.0.2'\n")
    shown = run("todo_api", "--help", TODO_HOST="127.0.0.3", **{OTHER_ROOT: str(folder)}, PYTHONPATH=str(ROOT))

    assert "(default: 8123)" in shown.stdout
    assert "(default: 127.0.0.3)" in shown.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"TODO_PROT=8123", "todo_api: TODO_PROT is not a setting; did you mean 'TODO_PORT'?"),
        (b"TODO_PORT=\xff", "todo_api: .env can't be read: 'utf-8' codec can't decode byte 0xff in position 10"),
    ],
)
def test_a_wrong_file_env_ends_the_start_with_a_line(folder: Path, content: bytes, said: str) -> None:
    (folder / ".env").write_bytes(content)
    refused = run("todo_api", **{OTHER_ROOT: str(folder)}, PYTHONPATH=str(ROOT))

    assert refused.returncode == 1
    assert refused.stderr.startswith(said)
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_server_that_reloads_serves_what_the_code_says_now(folder: Path, sqlite_backend: SQLite) -> None:
    for name in ("todo_api", "migrations"):
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    copy(ROOT / "alembic.ini", folder)
    routes = folder / "todo_api" / "routes" / "todos.py"
    command = ("todo_api", "--port", "0", "--reload")
    with serving(folder, *command, TODO_DATABASE_URL=sqlite_backend.empty(), **{OTHER_ROOT: str(folder)}) as (
        server,
        client,
    ):

        def summary() -> str:
            document = client.get("/openapi.json", headers={"connection": "close"}).json()
            return str(document["paths"]["/todos"]["get"]["summary"])

        assert summary() == "List todos"
        routes.write_text(routes.read_text().replace('"""List todos', '"""List what is to be done'))
        server.wait_until_said("Reloading...")

        deadline = time.monotonic() + PATIENCE
        while summary() == "List todos":  # the old process answers until it has ended
            assert time.monotonic() < deadline
        assert summary() == "List what is to be done"
        assert server.stop() == 0


def test_a_server_that_reloads_is_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse_arguments(load_settings(), ["--reload", "--workers", "2"])

    assert refused.value.code == 2
    assert "--reload serves by one process, so --workers must be 1" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_started_at_once_on_an_empty_database_all_serve(folder: Path, backend: Backend) -> None:
    url = backend.empty()
    with ExitStack() as stack:
        servers = [stack.enter_context(starting(folder, TODO_DATABASE_URL=url)) for _ in range(3)]
        for server in servers:
            server.wait_until_ready()


@pytest.mark.slow
def test_several_workers_share_one_database(folder: Path, backend: Backend) -> None:
    command = ("todo_api", "--port", "0", "--workers", "2")
    with serving(folder, *command, TODO_DATABASE_URL=backend.empty()) as (server, client):
        for number in range(20):
            assert (
                client.post("/todos", json={"task": f"task {number}"}, headers={"connection": "close"}).status_code
                == 201
            )

        assert len(client.get("/todos").json()) == 20
        assert server.stop() == 0


def test_what_a_command_can_not_do_is_said_in_words(sqlite_backend: SQLite) -> None:
    url = sqlite_backend.empty()
    unknown = run("todo_api", "tokn", TODO_DATABASE_URL=url)
    nobody = run("todo_api", "owner", "rename", "alise", "alice", TODO_DATABASE_URL=url)

    assert unknown.returncode == 2
    assert "error: argument COMMAND: invalid choice: 'tokn'" in unknown.stderr
    assert nobody.returncode == 1
    assert nobody.stderr.endswith("todo_api: alise has no todos and no tokens, so nothing was renamed\n")


def test_a_server_by_hand_serves_a_migrated_database(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.empty()
    assert run("alembic", "upgrade", "head", TODO_DATABASE_URL=url).returncode == 0
    with serving(folder, "uvicorn", "todo_api.main:app", "--port", "0", TODO_DATABASE_URL=url) as (_, client):
        assert client.get("/todos").json() == []


@pytest.mark.slow
def test_a_server_by_hand_refuses_a_database_that_is_not_migrated(backend: Backend) -> None:
    refused = run("uvicorn", "todo_api.main:app", "--port", "0", TODO_DATABASE_URL=backend.empty())

    assert refused.returncode != 0
    assert "run: alembic upgrade head" in refused.stderr
    assert "Traceback" not in refused.stderr


BAD_SETTINGS = {
    "an unknown setting": ({"TODO_PROT": "8000"}, "TODO_PROT is not a setting; did you mean 'TODO_PORT'?"),
    "a port of nothing": ({"TODO_DB_PORT": "5432"}, "TODO_DB_PORT is not a setting"),
    "a port that is no number": ({"TODO_PORT": "http"}, "TODO_PORT: "),
    "a port out of range": ({"TODO_PORT": "65536"}, "TODO_PORT: "),
    "no workers": ({"TODO_WORKERS": "0"}, "TODO_WORKERS: "),
    "no time at all": ({"TODO_REQUEST_TIMEOUT": "0"}, "TODO_REQUEST_TIMEOUT: "),
    "no connections": ({"TODO_MAX_CONNECTIONS": "0"}, "TODO_MAX_CONNECTIONS: "),
    "an unknown log level": ({"TODO_LOG_LEVEL": "loud"}, "TODO_LOG_LEVEL: "),
    "no URL at all": ({"TODO_DATABASE_URL": "hunter2"}, "TODO_DATABASE_URL: is not a database URL"),
    "an unknown database": (
        {"TODO_DATABASE_URL": "mysql://me:hunter2@localhost/todo"},
        "TODO_DATABASE_URL: names the unknown",
    ),
    "a database in memory": ({"TODO_DATABASE_URL": "sqlite://"}, "TODO_DATABASE_URL: must name a file"),
    "a bad port in the URL": (
        {"TODO_DATABASE_URL": "postgresql://me:hunter2@localhost:port/todo"},
        "TODO_DATABASE_URL: is not",
    ),
    "a driver that is not there": (
        {"TODO_DATABASE_URL": "postgresql+psycopg://localhost/todo"},
        "TODO_DATABASE_URL: names the unknown database 'postgresql+psycopg'",
    ),
    "an origin with a path": ({"TODO_CORS_ORIGINS": "https://app.example/x"}, "TODO_CORS_ORIGINS: must be origins"),
    "another way to tell who calls": ({"TODO_AUTH": "none"}, "TODO_AUTH: Input should be 'local' or 'token'"),
    "a host with a port": ({"TODO_ALLOWED_HOSTS": "todo.lan:8000"}, "TODO_ALLOWED_HOSTS: must be names"),
    "every host": ({"TODO_ALLOWED_HOSTS": "*"}, "TODO_ALLOWED_HOSTS: must be names"),
    "docs that are neither": ({"TODO_DOCS": "maybe"}, "TODO_DOCS: "),
    "a switch that is neither": ({"TODO_REQUIRE_IF_MATCH": "perhaps"}, "TODO_REQUIRE_IF_MATCH: "),
    "a plain DATABASE_URL": ({"DATABASE_URL": "hunter2"}, "DATABASE_URL: is not a database URL"),
}


@pytest.mark.parametrize(("environment", "line"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_a_wrong_setting_is_said_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as refused:
        load_settings()
    assert str(refused.value).startswith(f"todo_api: {line}")
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments", [["--port", "65536"], ["--port", "-1"], ["--port", "http"], ["--workers", "0"], ["--workers", "-1"]]
)
def test_an_option_out_of_its_range_is_refused_by_its_name(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        parse_arguments(load_settings(), arguments)
    assert refused.value.code == 2
    assert f"error: argument {arguments[0]}: Input should be" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_whose_port_is_taken_does_not_say_that_it_serves(sqlite_backend: SQLite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("todo_api", "--port", port, TODO_DATABASE_URL=sqlite_backend.empty())

    assert refused.returncode != 0
    assert "address already in use" in refused.stderr
    assert "serves" not in refused.stdout


NOWHERE = "postgres://me:hunter2@127.0.0.1:1/todo"
SHOWN = "postgres://me:***@127.0.0.1:1/todo"
UNREACHABLE = {
    "a folder that is not there": (
        "todo_api",
        "sqlite:////no/such/folder/todo.db",
        "sqlite:////no/such/folder/",
    ),
    "a server that is not there": ("todo_api", NOWHERE, SHOWN),
    "alembic": ("alembic upgrade head", NOWHERE, SHOWN),
    "a server by hand": ("uvicorn todo_api.main:app --port 0", NOWHERE, SHOWN),
}


@pytest.mark.parametrize(("command", "url", "shown"), UNREACHABLE.values(), ids=UNREACHABLE.keys())
def test_a_database_that_cannot_be_opened_is_said_in_one_line(command: str, url: str, shown: str) -> None:
    refused = run(*command.split(), TODO_DATABASE_URL=url)

    lines = [line.partition(" ERROR   ")[2] or line for line in refused.stderr.splitlines()]
    said = [line for line in lines if "INFO" not in line]
    assert refused.returncode != 0
    assert said[0].startswith(f"todo_api: cannot open the database {shown}")
    assert said[1:] in ([], ["Application startup failed. Exiting."])
    assert "hunter2" not in refused.stderr


def test_an_empty_setting_counts_as_absent(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.empty()
    with serving(folder, TODO_DATABASE_URL="", DATABASE_URL=url, TODO_LOG_LEVEL="") as (_, client):
        assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201

    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT task FROM todo_items").fetchall() == [("Buy milk",)]


def test_the_variables_of_a_service_in_kubernetes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "tcp://10.0.0.1:8000"
    for name, value in {
        "TODO_SERVICE_HOST": "10.0.0.1",
        "TODO_SERVICE_PORT": "8000",
        "TODO_SERVICE_PORT_HTTP": "8000",
        "TODO_PORT": address,
        "TODO_PORT_8000_TCP": address,
        "TODO_PORT_8000_TCP_ADDR": "10.0.0.1",
        "TODO_DB_SERVICE_HOST": "10.0.0.2",
        "TODO_DB_PORT": address,
    }.items():
        monkeypatch.setenv(name, value)

    assert load_settings().port == 8000
