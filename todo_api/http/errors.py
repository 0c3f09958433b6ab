"""The exception handlers: each answers with a problem document."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException

from todo_api.database.schema import SchemaChangedError, StartupError
from todo_api.http import problems
from todo_api.http.json import escaped
from todo_api.http.methods import allowed_methods
from todo_api.http.problem import InvalidValue, ProblemResponse, did_you_mean
from todo_api.http.problems import MAX_ERRORS, Internal, Invalid, Malformed, NotFound, NotModified, Unavailable
from todo_api.logs import CAUSE


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.include_router(problems.router)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(NotModified)(_not_modified)
    app.exception_handler(RequestValidationError)(_validation_error)
    for error in (DBAPIError, sqlite3.Error, StartupError, OSError):
        app.exception_handler(error)(_database_error)


async def _http_error(request: Request, error: HTTPException) -> ProblemResponse:
    path = get_route_path(request.scope)
    if error.status_code == 400 and not isinstance(error, Malformed):  # from FastAPI, when json.loads fails
        error = Malformed("The body is not JSON in UTF-8, nested too deep, or has a number of too many digits.")
    if error.status_code == 405:
        methods = ", ".join(allowed_methods(request.scope))
        error = HTTPException(405, f"This path has the methods {methods}.", {"Allow": methods})
    elif error.status_code == 404 and not isinstance(error, NotFound):
        right = path.rstrip("/")
        root = request.scope.get("root_path", "")
        known = path != right and allowed_methods(dict(request.scope, path=root + right))
        error = HTTPException(
            404, f"There is nothing here; did you mean {right}?" if known else "There is nothing here."
        )
    return ProblemResponse(error)


async def _not_modified(request: Request, error: NotModified) -> Response:
    return Response(status_code=304, headers=error.headers)


async def _validation_error(request: Request, error: RequestValidationError) -> ProblemResponse:
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        position = errors[0]["loc"][-1]
        return ProblemResponse(Malformed(f"The body is not JSON, from character {position} on."))
    known = getattr(request.scope.get("route"), "body_members", {})
    return ProblemResponse(Invalid([_invalid_value(each, known) for each in errors[:MAX_ERRORS]], len(errors)))


def _invalid_value(error: Mapping[str, Any], known: Mapping[str, bool]) -> InvalidValue:
    source, *path = error["loc"]
    if error["type"] == "extra_forbidden":
        pointer = "".join(f"/{escaped(str(part))}" for part in path)
        return {"pointer": pointer, "detail": _unknown_member(str(path[-1]), known), "code": error["type"]}
    # Of a parameter that may be repeated, the number is left out.
    pointer = "".join(f"/{escaped(str(part))}" for part in path) if source == "body" else str(path[0])
    return {"pointer": pointer, "detail": _detail(error), "code": error["type"]}


def _unknown_member(name: str, known: Mapping[str, bool]) -> str:
    """What to do about a member that the body may not have; `known` says of each whether a client may set it."""
    if known.get(name) is False:
        return "is set by the server; leave it out"
    settable = [each for each, is_settable in known.items() if is_settable]
    hint = did_you_mean(name, settable) or (f"; the known ones are {', '.join(settable)}" if settable else "")
    return f"is not a member of the request{hint}"


def _detail(error: Mapping[str, Any]) -> str:
    """Say what is wrong, in the words of this API where it has some, otherwise in Pydantic's."""
    words = _REWORDED.get(error["type"])
    if words is None:
        return str(error["msg"])
    context = error.get("ctx", {})
    return words.format(unit="elements" if context.get("field_type") == "List" else "characters", **context)


_REWORDED = {
    "bool_type": "must be true or false",
    "date_from_datetime_parsing": "must be a day of the calendar, such as 2026-12-24",
    "datetime_from_date_parsing": "must be an instant of the calendar, such as 2026-12-24T18:00:00Z",
    "datetime_parsing": "must be an instant of the calendar, such as 2026-12-24T18:00:00Z",
    "date_parsing": "must be a day of the calendar, such as 2026-12-24",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be an integer",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be an array",
    "literal_error": "must be {expected}",
    "missing": "is required",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_long": "must have at most {max_length} {unit}",
    "string_too_short": "must not be empty",
    "string_type": "must be a string",
    "string_unicode": "must be Unicode text, without lone surrogates",
    "too_long": "must have at most {max_length} {unit}",
    "too_short": "must not be empty",
}
"""Our words for each of Pydantic's error types. Every minimum length is 1, so too short means empty."""


# SQLSTATEs of PostgreSQL that pass: connection lost, transaction conflict, out of resources, lock not available,
# statement cancelled or server shutting down, read-only server, idle transaction timed out.
_PASSING_STATES = ("08", "40", "53", "55", "57", "25006", "25P03")
# Result codes of SQLite that last: a missing table, a damaged file, a file that is no database.
_LASTING_CODES = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


async def _database_error(request: Request, error: Exception) -> ProblemResponse:
    """Answer 503 for an error that passes (a lock, a full disk, a lost connection), and 500 for one to be repaired.

    The log gets the database's message, without its details, which hold values, and without a traceback.
    """
    if isinstance(error, SchemaChangedError):  # already logged
        return ProblemResponse(
            Unavailable(f"The database is at migration {error.current}, and this server needs {error.expected}.")
        )
    said = str(getattr(error, "orig", error)) or "the database did not answer in time"
    request.scope[CAUSE] = " ".join(said.split())
    if _sqlite_code(error) == sqlite3.SQLITE_READONLY:
        # Close all connections: beside one that is read-only, SQLite opens each further one read-only too.
        await request.state.database.dispose()
    if isinstance(error, StartupError):
        return ProblemResponse(Unavailable("The database can't be served as it is; the log says why."))
    if _is_read_only(error):
        return ProblemResponse(Unavailable("The database can only be read at the moment."))
    return ProblemResponse(Unavailable() if _passes(error) else Internal())


def _is_read_only(error: Exception) -> bool:
    sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
    return sqlstate == "25006" or _sqlite_code(error) == sqlite3.SQLITE_READONLY


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
