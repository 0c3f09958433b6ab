import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.applications import in_process
from tests.databases import Backend, PostgreSQL, SQLite, postgresql
from tests.linters.running import install


@pytest.fixture(scope="session", autouse=True)
def quiet_log() -> None:
    """pytest shows the log of a test that fails. The thread that writes it would do so between two tests."""
    logging.getLogger("todo_api").handlers.clear()


@pytest.fixture(scope="session")
def sqlite_backend(tmp_path_factory: pytest.TempPathFactory) -> SQLite:
    return SQLite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql_backend() -> Iterator[PostgreSQL]:
    with postgresql() as backend:
        yield backend


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every test that asks for it runs on both kinds of database."""
    backend: Backend = request.getfixturevalue(f"{request.param}_backend")
    return backend


@pytest.fixture
def database_url(backend: Backend) -> Iterator[str]:
    """A database of the test's own, at the newest migration and empty."""
    with backend.lent() as url:
        yield url


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient]:
    """A client of the application, in process, on a database of the test's own."""
    with in_process(database_url=database_url) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="session")
def linters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands that lint the OpenAPI document."""
    return install(tmp_path_factory.mktemp("linters"))
