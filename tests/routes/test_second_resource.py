"""One more resource is one table class, one route module, one line and one migration; all else comes of itself."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.databases import ROOT, Backend
from tests.linters.running import lint_by_redocly, lint_by_spectral
from tests.servers import PATIENCE, run, serving

SAMPLE = ROOT / "tests" / "routes" / "second_resource"


def project_with_books(folder: Path, url: str) -> Path:
    """A copy of the project with books in it, and their migration."""
    project = folder / "project"
    for name in ("todo_api", "migrations"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", project)
    models, main = project / "todo_api" / "models.py", project / "todo_api" / "main.py"
    models.write_text(models.read_text() + (SAMPLE / "book.py").read_text())
    routes = (SAMPLE / "books.py").read_text().replace("tests.routes.second_resource.book", "todo_api.models")
    (project / "todo_api" / "routes" / "books.py").write_text(routes)
    included = main.read_text().replace("import health, lists, todos", "import books, health, lists, todos")
    main.write_text(included.replace("(todos.router,", "(books.router, todos.router,"))
    made = run(
        "alembic",
        "revision",
        "--autogenerate",
        "-m",
        "create books",
        TODO_TEST_ROOT=str(project),
        TODO_DATABASE_URL=url,
    )
    assert made.returncode == 0, made.stderr
    return project


@pytest.fixture
def clients(folder: Path, backend: Backend) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two owners, of a server with books."""
    url = backend.migrated()
    project = project_with_books(folder, url)
    environment = {"TODO_DATABASE_URL": url, "TODO_AUTH": "token", "TODO_TEST_ROOT": str(project)}
    tokens = [run("todo_api", "token", "create", owner, **environment).stdout.strip() for owner in ("a", "b")]
    with serving(folder, **environment) as (server, _):
        alice, bob = (
            httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}) for token in tokens
        )
        with alice, bob:
            yield alice, bob


@pytest.mark.slow
def test_a_second_resource_has_what_todos_have(
    clients: tuple[httpx.Client, httpx.Client], folder: Path, linters: Path
) -> None:
    alice, bob = clients

    created = alice.post("/books", json={"title": " Emma ", "pages": 474})
    assert created.status_code == 201
    assert created.json() == {"id": 1, "title": "Emma", "pages": 474, "version": 1}
    assert (created.headers["location"], created.headers["etag"]) == (f"{alice.base_url}/books/1", '"1"')
    for body, pointer in (
        ({}, "/title"),
        ({"title": "x" * 81}, "/title"),
        ({"title": "x", "pages": 0}, "/pages"),
        ({"title": "x", "id": 7}, "/id"),
        ({"title": "x", "author": "y"}, "/author"),
    ):
        refused = alice.post("/books", json=body)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]

    for title, pages in (("Persuasion", 249), ("Sanditon", 80)):
        alice.post("/books", json={"title": title, "pages": pages})
    assert [book["id"] for book in alice.get("/books?pages_min=100").json()] == [2, 1]
    assert [book["id"] for book in alice.get("/books?title=Emma").json()] == [1]
    assert [book["id"] for book in alice.get("/books?sort=-title").json()] == [3, 2, 1]
    assert [book["id"] for book in pages_of(alice, "/books?sort=pages&limit=1")] == [3, 2, 1]
    assert alice.get("/books?count=true&limit=1").headers["x-total-count"] == "3"
    assert alice.get("/books?page_min=1").status_code == 422

    assert alice.get("/books/1", headers={"if-none-match": '"1"'}).status_code == 304
    changed = alice.put("/books/1", json={"pages": 475}, headers={"if-match": '"1"'})
    assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
    assert changed.json()["title"] == "Emma"
    assert alice.patch("/books/1", json={"pages": 1}, headers={"if-match": '"1"'}).status_code == 412
    assert alice.delete("/books/2?dry_run=true").headers["x-dry-run"] == "true"
    assert alice.get("/books/2").status_code == 200
    assert alice.delete("/books/3").status_code == 204
    assert alice.get("/books/3").json()["detail"] == "There is no book with this id."

    assert bob.get("/books").json() == []
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert bob.request(method, "/books/1", json={} if method[0] == "P" else None).status_code == 404
    assert len(alice.get("/books").json()) == 2

    document = alice.get("/openapi.json").json()
    assert {"Book", "CreateBook", "UpdateBook"} <= document["components"]["schemas"].keys()
    assert document["paths"]["/books/{book_id}"]["put"]["operationId"] == "update_book"
    assert {tag["name"] for tag in document["tags"]} == {"todos", "many todos", "trash", "lists", "health", "books"}
    (folder / "openapi.json").write_text(json.dumps(document, indent=2))
    lint_by_spectral(linters, folder / "openapi.json")
    lint_by_redocly(linters, folder / "openapi.json")


def pages_of(client: httpx.Client, path: str) -> list[Any]:
    found = []
    while True:
        answer = client.get(path)
        found += answer.json()
        if "next" not in answer.links:
            return found
        path = answer.links["next"]["url"]


@pytest.mark.slow
def test_old_code_beside_new_code_refuses_to_write_and_loses_nothing(folder: Path, backend: Backend) -> None:
    """A rolling upgrade: the new version, which has books, migrates the database that the old one serves."""
    url = backend.migrated()
    project = project_with_books(folder, url)
    kept: list[str] = []
    refused: list[httpx.Response] = []
    with serving(folder, TODO_DATABASE_URL=url) as (old, client), ThreadPoolExecutor(4) as threads:
        is_upgraded = threading.Event()

        def create(number: int) -> None:
            with httpx.Client(base_url=old.url, timeout=PATIENCE) as own:
                while not is_upgraded.is_set():
                    answer = own.post("/todos", json={"task": f"{number} {len(kept)}"})
                    (kept.append(answer.json()["task"]) if answer.status_code == 201 else refused.append(answer))

        runs = [threads.submit(create, number) for number in range(4)]
        with serving(folder, TODO_DATABASE_URL=url, TODO_TEST_ROOT=str(project)) as (_, new):
            while not refused:
                client.get("/livez")
            is_upgraded.set()
            for run_ in runs:
                run_.result()

            assert {answer.status_code for answer in refused} == {503}
            assert {answer.headers["retry-after"] for answer in refused} == {"1"}
            assert "and this server needs" in refused[0].json()["detail"]
            assert (client.get("/readyz").status_code, new.get("/readyz").status_code) == (503, 200)
            assert client.get("/todos/1").status_code == 200
            assert new.post("/books", json={"title": "Emma"}).status_code == 201
            tasks = [todo["task"] for todo in pages_of(new, "/todos?limit=500")]
            assert sorted(tasks) == sorted(kept)


def test_the_routes_of_a_plain_resource_fit_on_a_page() -> None:
    assert len((SAMPLE / "books.py").read_text().splitlines()) <= 60
