"""Backups of a SQLite database: one snapshot in one file, whatever others write meanwhile."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from todo_api.database.schema import StartupError

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite adds to the name of a database for the files that it keeps beside it."""
STEP = 1000
"""Pages that are copied before a signal is heard."""


def back_up(database: Path, file: Path) -> None:
    """Write a snapshot of the database to a file, which is replaced only by a whole one."""
    _refuse_used(file, database)
    with new_file_beside(file) as copy:
        snapshot(database, copy)
        check(copy, database)
        shutil.copymode(database, copy)
        _refuse_used(file, database)
        move(copy, file)


def write_backup(database: Path, output: BinaryIO) -> None:
    """Write a snapshot of the database to a pipe, by way of a file in the folder of temporary files."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, database.name)
        snapshot(database, copy)
        check(copy, database)
        with copy.open("rb") as file:
            shutil.copyfileobj(file, output)


def snapshot(database: Path, copy: Path) -> None:
    """Copy the database as it is at this moment into a new file, without a check. No writer waits for it."""
    with closing(open_file(database)) as source, closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")  # it is flushed when it is whole
        # Within a transaction it does not begin anew at each write of another process.
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema").fetchone()
        source.backup(target, pages=STEP, progress=lambda *_: None)  # a signal is heard between two steps
        source.execute("COMMIT")
        target.execute("PRAGMA journal_mode = DELETE")  # one file, that needs no others beside it
    flush(copy)


def check(file: Path, of: Path, pragma: str = "quick_check") -> None:
    """Raise StartupError unless SQLite finds the file, a copy of another one, sound."""
    with closing(open_file(file)) as connection:
        try:
            (found,) = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise StartupError(f"{of} is damaged: {' '.join(found.split())}")


def open_file(path: Path, options: str = "", timeout: float = 60) -> sqlite3.Connection:
    """Open a database that is there. Transactions are begun by hand."""
    if not path.is_file():
        raise StartupError(f"there is no file {path}")
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw{options}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout)


def move(new: Path, place: Path) -> None:
    """Rename a flushed file, so that the new name survives a loss of power."""
    new.replace(place)
    flush(place.absolute().parent)


def flush(path: Path) -> None:
    """Have the disk keep a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_used(file: Path, database: Path) -> None:
    """Raise StartupError if the file is a database that may be in use: the one that is backed up, or another one."""
    used = [database.resolve(), *(beside(database.resolve(), suffix) for suffix in BESIDE)]
    if file.resolve() in used:
        raise StartupError(f"{file} is the database itself; name another file")
    if file.exists() and not file.is_file():
        raise StartupError(f"{file} is not a file")
    for suffix in BESIDE:
        if (other := beside(file.resolve(), suffix)).exists():
            raise StartupError(f"{other} shows that {file} is a database in use; name another file")


def beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


@contextmanager
def new_file_beside(file: Path) -> Iterator[Path]:
    """A file in the same folder, which nobody else can read; it is deleted in the end, if it is still there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.absolute().parent)
    except OSError as error:
        raise StartupError(f"cannot write to {file.absolute().parent}: {error.strerror}") from None
    os.close(descriptor)
    new = Path(name)
    try:
        yield new
    finally:
        for path in (new, *(beside(new, suffix) for suffix in BESIDE)):
            path.unlink(missing_ok=True)
