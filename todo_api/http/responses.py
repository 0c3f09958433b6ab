"""The responses of an operation, for the OpenAPI document: its headers, and an example of each problem."""

from typing import Any

from todo_api.http.bodies import JSON, MERGE_PATCH
from todo_api.http.problem import Problem, ProblemResponse, describe
from todo_api.http.problems import (
    InsufficientScope,
    Internal,
    Malformed,
    NotEmpty,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooMany,
    Unauthorized,
    Unavailable,
)
from todo_api.single_model.table import Table, member_names

Responses = dict[int | str, dict[str, Any]]

SCHEMA = "#/components/schemas/{model}"
CHALLENGE = "WWW-Authenticate"
HEADERS: dict[str, dict[str, Any]] = {
    "Accept": {
        "description": "The media types that the body may have.",
        "required": True,
        "schema": {"type": "string", "examples": [JSON]},
    },
    "Accept-Patch": {
        "description": "The media types that a patch may have (RFC 5789).",
        "required": True,
        "schema": {"type": "string", "examples": [f"{JSON}, {MERGE_PATCH}"]},
    },
    "ETag": {
        "description": "The strong tag of this version, for `If-Match` and `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$', "examples": ['"1"']},
    },
    "Idempotency-Replayed": {
        "description": "`true` when this is the first answer to a request that was sent again with its"
        " `Idempotency-Key`; absent otherwise.",
        "schema": {"type": "boolean", "examples": [True]},
    },
    "Link": {
        "description": '`rel="next"` leads to the next page (RFC 8288); absent on the last one.',
        "schema": {"type": "string", "examples": ['<http://127.0.0.1:8000/todos?cursor=WyI>; rel="next"']},
    },
    "X-Next-Cursor": {
        "description": "The `cursor` of the next page; absent on the last one.",
        "schema": {"type": "string", "examples": ["WyI"]},
    },
    "Location": {
        "description": "The address of the new resource.",
        "required": True,
        "schema": {"type": "string", "format": "uri", "examples": ["http://127.0.0.1:8000/todos/1"]},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
    CHALLENGE: {
        "description": "How to say who calls (RFC 6750), and what was wrong with it.",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="todo"']},
    },
    "X-Dry-Run": {
        "description": "`true` when `dry_run=true` was sent, absent otherwise.",
        "schema": {"type": "boolean", "examples": [True]},
    },
    "X-Request-Id": {
        "description": "Names the request in the log of the server: the name that was sent, if it is 1 to 128 letters,"
        " digits or . _ - and no token.",
        "required": True,
        "schema": {"type": "string", "examples": ["5f0c"]},
    },
    "X-Total-Count": {
        "description": "How many match, on all pages together; sent for `count=true`.",
        "schema": {"type": "integer", "minimum": 0, "examples": [1]},
    },
}
_EXAMPLES = [
    Malformed("The body is not JSON, from character 9 on."),
    Unauthorized("The token is unknown, expired or revoked.", error="invalid_token"),
    InsufficientScope(),
    TooMany(240, 240),
    NotEmpty(3),
    PreconditionRequired("Send If-Match with the ETag of what you change."),
    Internal(),
    Unavailable(),
]


def documented(*problems: type[Problem] | Problem, success: int = 200, headers: tuple[str, ...] = ()) -> Responses:
    """The `responses` of a route: its own problems, and the headers of its success."""
    answers: Responses = {}
    for problem in problems:
        before = answers.get(problem.status)
        answers[problem.status] = example_response(problem)
        if before is not None:  # the example is of the last one
            answers[problem.status]["description"] += f" {before['description']}"
    if headers:
        answers[success] = {"headers": header_references(*headers)}
    return answers


def problems_of_row(table: type[Table], *, is_safe: bool) -> list[type[Problem] | Problem]:
    """The problems of an operation on one row of a table class."""
    missing = NotFound(f"There is no {table.noun} with this id{table.place}.")
    if is_safe:
        return [missing]
    (example,) = table.model_json_schema(mode="serialization")["examples"]
    current = {name: example.get(name) for name in member_names(table)} | {"version": 2}
    changed = PreconditionFailed("It is in another version than If-Match names.", current, '"2"')
    return [missing, changed, PreconditionRequired]


def not_modified() -> Responses:
    return {304: {"description": "The client has the present version.", "headers": header_references("ETag")}}


def example_response(kind: type[Problem] | Problem) -> dict[str, Any]:
    if isinstance(kind, Problem):
        return problem_response(kind)
    return problem_response(next(example for example in _EXAMPLES if type(example) is kind))


def problem_response(problem: Problem) -> dict[str, Any]:
    reference = {"$ref": SCHEMA.format(model="Problem")}
    return {
        "description": problem.title + ".",
        "headers": header_references(*(name for name in (problem.headers or {}) if name in HEADERS)),
        "content": {ProblemResponse.media_type: {"schema": reference, "example": describe(problem)}},
    }


def header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
