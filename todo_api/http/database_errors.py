"""How the errors of a database are answered."""

import sqlite3

from fastapi import Request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from todo_api.database.engines import Database
from todo_api.database.schema import SchemaChangedError, StartupError
from todo_api.database.sqlite.damage import DamagedError
from todo_api.http.problem import ProblemResponse
from todo_api.http.problems import DAMAGED, DiskFull, Internal, Unavailable
from todo_api.logs import CAUSE

KINDS = (DBAPIError, sqlite3.Error, StartupError, OSError)
"""The exceptions that databases raise."""

# SQLSTATEs of PostgreSQL that pass: connection lost, transaction conflict, out of resources, lock not available,
# statement cancelled or server shutting down, read-only server, idle transaction timed out.
_PASSING_STATES = ("08", "40", "53", "55", "57", "25006", "25P03")
# Result codes of SQLite for a damaged file and a file that is no database; with them, for a missing table: all last.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LASTING_CODES = {sqlite3.SQLITE_ERROR, *_DAMAGE}


async def answer(request: Request, error: Exception) -> ProblemResponse:
    """Answer 503 for an error that passes (a lock, a lost connection), 507 for a full disk, and 500 for other ones.

    The log gets the database's message, without its details, which hold values, and without a traceback.
    """
    if isinstance(error, SchemaChangedError):  # already logged
        return ProblemResponse(
            Unavailable(f"The database is at migration {error.current}, and this server needs {error.expected}.")
        )
    cause = getattr(error, "orig", error)
    said = str(cause) or "the database did not answer in time"
    request.scope[CAUSE] = " ".join(said.split())
    database: Database = request.state.database
    is_full, is_damaged = _finds_no_room(error), False
    if (file := database.file) is not None:
        if is_full:
            file.disk.found_full()
        if _sqlite_code(error) in _DAMAGE:
            file.damage.suspect(request.scope[CAUSE])
        is_full = is_full or (_is_read_only(error) and file.disk.is_full)
        is_damaged = isinstance(cause, DamagedError)
    if _sqlite_code(error) == sqlite3.SQLITE_READONLY or isinstance(cause, sqlite3.ProgrammingError):
        # Close all connections: one to a file that is gone was closed already, or one is read-only, beside which SQLite
        # opens each further one read-only too.
        await database.dispose()
    if file is not None:
        file.damage.look_through()
    if isinstance(error, StartupError):
        return ProblemResponse(Unavailable("The database can't be served as it is; the log says why."))
    if is_full:
        return ProblemResponse(DiskFull())
    if is_damaged:
        return ProblemResponse(Unavailable(DAMAGED))
    if _is_read_only(error):
        return ProblemResponse(Unavailable("The database can only be read at the moment."))
    return ProblemResponse(Unavailable() if _passes(error) else Internal())


def _is_read_only(error: Exception) -> bool:
    sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
    return sqlstate == "25006" or _sqlite_code(error) == sqlite3.SQLITE_READONLY


def _finds_no_room(error: Exception) -> bool:
    cause = getattr(error, "orig", error)
    if getattr(cause, "sqlstate", None) == "53100":
        return True
    code = getattr(cause, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def _passes(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if not isinstance(error, DBAPIError):
        return True
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error) not in _LASTING_CODES
    if state := getattr(error.orig, "sqlstate", None):
        return str(state).startswith(_PASSING_STATES)
    return error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))


def _sqlite_code(error: Exception) -> int | None:
    """SQLite's primary result code; SQLITE_CANTOPEN where the error has none, None for another database."""
    cause = getattr(error, "orig", error)
    if not isinstance(cause, sqlite3.Error):
        return None
    return getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_CANTOPEN) & 0xFF
