"""Put a backup in the place of a SQLite database, by SQLite itself: servers that have it open read on and write on."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

from todo_api.database.schema import StartupError, known_migrations, one_line
from todo_api.database.sqlite import backup
from todo_api.database.sqlite.backup import beside, open_file

PATIENCE = 60.0
"""Seconds that the servers may take to end a write."""
PATIENCE_WITHOUT_LOG = 5.0
"""Seconds that they may take to let go of a file that was copied over theirs."""


class _UsedWithoutLogError(Exception):
    """The file has no write-ahead log, so something was copied over it, and a server still has it open."""


def restore(file: Path, database: Path, migrate: Callable[[Path], None]) -> Path | None:
    """Put a backup in the place of the database; where the content that was there is kept, if there was any.

    Until a copy of the backup is known to be sound, and is migrated, nothing is changed.
    """
    database = database.resolve()
    if file.resolve() == database:
        raise StartupError(f"{file} is the database itself")
    with backup.new_file_beside(database) as new:
        try:
            backup.snapshot(file, new)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise StartupError(f"there is no room for a copy of {file} beside {database}") from None
            raise StartupError(f"{file} can't be read: {one_line(error)}") from None
        backup.check(new, file, "integrity_check")
        _check_schema(new, file)
        migrate(new)
        return _replace(database, new)


def _check_schema(new: Path, file: Path) -> None:
    """Raise StartupError unless this version of todo_api knows the schema."""
    with closing(open_file(new)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if not {"alembic_version", "todo_items"} <= tables:
            raise StartupError(f"{file} is not a database of todo_api")
        (migration,) = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    if migration not in known_migrations():
        raise StartupError(f"{file} is at migration {migration}, of a newer version of todo_api: install that one")


def _replace(database: Path, new: Path) -> Path | None:
    if not database.exists():
        _move_in(new, database, None)
        return None
    shutil.copymode(database, new)
    with suppress(PermissionError):
        os.chown(new, database.stat().st_uid, database.stat().st_gid)
    kept = beside(database, f".before-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}")
    try:
        _write_over(database, new, kept)
    except BaseException as error:
        kept.unlink(missing_ok=True)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not (isinstance(error, _UsedWithoutLogError) or code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)):
            raise
        # SQLite can't write over what is there, so it is moved away. A server that has it open notices that.
        _move_in(new, database, kept)
    return kept


def _write_over(database: Path, new: Path, kept: Path) -> None:
    """Replace all pages in one transaction, and keep the old ones. Others read meanwhile, and wait to write."""
    deadline = monotonic() + PATIENCE

    def progress(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if monotonic() > deadline:
                raise StartupError(f"{database} is locked by another process")
        elif not kept.exists():  # the first step has locked it, and what was committed before is kept
            with backup.new_file_beside(kept) as part:
                backup.snapshot(database, part)
                shutil.copymode(database, part)
                backup.move(part, kept)

    with closing(open_file(database)) as target, closing(open_file(new)) as source:
        _use_log(target)
        _give_page_size(target, source)
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        target.execute("PRAGMA synchronous = FULL")
        source.backup(target, pages=min(backup.STEP, pages // 2), progress=progress, sleep=0.01)
        for mode in ("PASSIVE", "TRUNCATE"):  # most of it while others may write; then the log is small again
            target.execute(f"PRAGMA wal_checkpoint({mode})")


def _use_log(target: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, which a plain copy of a backup lacks: nobody could read meanwhile without it."""
    deadline = monotonic() + PATIENCE_WITHOUT_LOG
    target.execute("PRAGMA busy_timeout = 0")  # SQLite's own would be longer
    while target.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            target.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if monotonic() > deadline:
                raise _UsedWithoutLogError from None
            sleep(0.01)
    target.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


def _give_page_size(target: sqlite3.Connection, source: sqlite3.Connection) -> None:
    """SQLite can't change the size of a database's pages while it has a write-ahead log."""
    (wanted,) = target.execute("PRAGMA page_size").fetchone()
    if source.execute("PRAGMA page_size").fetchone() != (wanted,):
        source.execute("PRAGMA journal_mode = DELETE")
        source.execute(f"PRAGMA page_size = {wanted}")
        source.execute("VACUUM")


def _move_in(new: Path, database: Path, kept: Path | None) -> None:
    """Put a file in the place of one that is not there, or is moved away with its write-ahead log.

    SQLite would write a log that is left into the new file.
    """
    for suffix in ("", *backup.BESIDE):
        old = beside(database, suffix)
        if kept is not None and suffix != "-shm" and old.exists():
            old.replace(beside(kept, suffix))
        old.unlink(missing_ok=True)
    backup.flush(new)
    backup.move(new, database)
