"""The commands of the operator that save the database and put it back."""

import shlex
import signal
import sqlite3
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import URL

from todo_api.database.schema import StartupError, migrate, one_line
from todo_api.database.sqlite import backup as sqlite
from todo_api.database.sqlite.dialect import DRIVER
from todo_api.database.sqlite.restore import restore


def add_to(nouns: Any) -> None:
    """Give `python -m todo_api` the commands of this module; `nouns` are its subparsers."""
    backup: ArgumentParser = nouns.add_parser("backup", help="save the database while it is served")
    backup.add_argument("file", metavar="FILE", help="where to; - for standard output")
    backup.set_defaults(maintain=back_up)

    back: ArgumentParser = nouns.add_parser("restore", help="put a backup back, while it is served or not")
    back.add_argument("file", metavar="FILE", help="the backup; an older schema is migrated")
    back.set_defaults(maintain=put_back)


def run(options: Namespace, url: URL) -> None:
    """Run the chosen command; what can't be done ends the process with a line that says why."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, _: sys.exit(128 + number))  # what was begun is cleaned up
    try:
        options.maintain(options.file, url)
    except (StartupError, sqlite3.Error, OSError) as error:
        raise SystemExit(f"todo_api: {one_line(error)}") from None


def back_up(file: str, url: URL) -> None:
    if url.drivername != DRIVER:
        output = "" if file == "-" else f" --file={shlex.quote(file)}"
        raise StartupError(f"PostgreSQL has a command of its own: pg_dump --format=custom{output} {_shown(url)}")
    database = Path(url.database or "")
    if file == "-":
        if sys.stdout.isatty():
            raise StartupError("a backup is no text for a terminal; send it to a file or a pipe")
        sqlite.write_backup(database, sys.stdout.buffer)
        return
    started = monotonic()
    sqlite.back_up(database, Path(file))
    size = Path(file).stat().st_size
    print(f"saved {database} to {file}: {size / 1e6:,.1f} MB in {monotonic() - started:.1f} s")


def put_back(file: str, url: URL) -> None:
    if url.drivername != DRIVER:
        options = "--clean --if-exists --single-transaction"
        raise StartupError(
            f"PostgreSQL has a command of its own: pg_restore {options} {_shown(url)} {shlex.quote(file)}"
        )
    database = Path(url.database or "")
    started = monotonic()
    kept = restore(Path(file), database, lambda new: migrate(url.set(database=str(new))))
    was_there = f"; what was there is kept in {kept}" if kept else ""
    print(f"put {file} back as {database} in {monotonic() - started:.1f} s{was_there}")


def _shown(url: URL) -> str:
    """The URL for the commands of PostgreSQL, without the password: they ask for it, or read PGPASSWORD."""
    query = {"sslmode" if name == "ssl" else name: value for name, value in url.query.items()}
    query.pop("pooler", None)  # ours alone
    shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return shlex.quote(f"--dbname={shown.render_as_string()}")
