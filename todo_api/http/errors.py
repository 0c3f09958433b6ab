"""The exception handlers: each answers with a problem document."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException

from todo_api.http import database_errors, problem_pages
from todo_api.http.json import escaped
from todo_api.http.methods import allowed_methods
from todo_api.http.problem import InvalidValue, ProblemResponse, did_you_mean
from todo_api.http.problems import MAX_ERRORS, Invalid, Malformed, NotFound, NotModified


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.include_router(problem_pages.router)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(NotModified)(_not_modified)
    app.exception_handler(RequestValidationError)(_validation_error)
    for error in database_errors.KINDS:
        app.exception_handler(error)(database_errors.answer)


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
