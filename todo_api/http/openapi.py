"""The OpenAPI document: what FastAPI derives from the routes, completed and made exact for generators of clients."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from todo_api.database.owners import owned_tables
from todo_api.http.methods import JSON, MERGE_PATCH
from todo_api.http.problems import (
    HeadTooLarge,
    InsufficientScope,
    Internal,
    Invalid,
    InvalidValue,
    Malformed,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    ProblemDocument,
    ProblemResponse,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    describe,
)
from todo_api.http.routing import OPEN_PATHS
from todo_api.http.strict import MAX_HEAD_SIZE, body_limit, body_types
from todo_api.single_model.table import examples_of

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, `todo_…`, that the operator of this server made.",
}
Responses = dict[int | str, dict[str, Any]]

_SCHEMA = "#/components/schemas/{model}"
_INTEGER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_CHALLENGE = "WWW-Authenticate"
_HEADERS: dict[str, dict[str, Any]] = {
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
        "description": "The strong tag of this version of the todo, for `If-Match` and `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$', "examples": ['"1"']},
    },
    "Link": {
        "description": '`rel="next"` leads to the next page (RFC 8288); absent on the last one.',
        "schema": {"type": "string", "examples": ['<?cursor=WyI>; rel="next"']},
    },
    "Location": {
        "description": "The address of the new todo.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference", "examples": ["/todos/1"]},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
    _CHALLENGE: {
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
    NotFound("There is no todo with this id."),
    TooMany(240),
    PreconditionFailed({"id": 1, "task": "Buy milk", "complete": False, "version": 2}, '"2"'),
    PreconditionRequired("Send If-Match with the ETag of what you change."),
    Internal(),
    Unavailable(),
]


def documented(*problems: type[Problem], success: int = 200, headers: tuple[str, ...] = ()) -> Responses:
    """The `responses` of a route: its own problems, and the headers of its success."""
    answers: Responses = {problem.status: _example_response(problem) for problem in problems}
    if headers:
        answers[success] = {"headers": _header_references(*headers)}
    return answers


def not_modified() -> Responses:
    return {304: {"description": "The client has the present version.", "headers": _header_references("ETag")}}


def build_document(app: FastAPI, *, with_tokens: bool) -> dict[str, Any]:
    """The document of `app`, made once; `with_tokens` it says that each operation needs one."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            contact=app.contact,
            license_info=app.license_info,
            servers=[{"url": "."}],  # beside this document, so that /docs calls through any proxy's prefix
            tags=app.openapi_tags,
            routes=app.routes,
        )
        document["security"] = []  # none is needed but where an operation says so
        components = document.setdefault("components", {})
        components["headers"] = {name: header for name, header in _HEADERS.items() if with_tokens or name != _CHALLENGE}
        schemas = components.setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = TypeAdapter(ProblemDocument).json_schema(ref_template=_SCHEMA)
        schemas |= problem.pop("$defs") | {"Problem": problem | {"title": "Problem"}}
        _tidy(schemas)
        if with_tokens:
            components["securitySchemes"] = {"token": _BEARER}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if with_tokens and path not in OPEN_PATHS:
                    _require_token(method, operation)
                _complete(path, method, operation, schemas)
        for schema in _objects(document):
            _make_exact(schema)
        app.openapi_schema = document
    return app.openapi_schema


def _tidy(schemas: dict[str, Any]) -> None:
    """Leave out titles, which repeat names, and make examples what they were written as.

    Pydantic sorts their members by name, and FastAPI leaves out nulls.
    """
    written = {name: examples for table in owned_tables() for name, examples in examples_of(table).items()}
    for name, model in schemas.items():
        for member in model["properties"].values():
            member.pop("title", None)
        if "examples" in model:
            model["examples"] = written.get(name) or [_in_order(example, model) for example in model["examples"]]


def _in_order(example: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    required = model.get("required", ())
    return {name: example.get(name) for name in model["properties"] if name in example or name in required}


def _require_token(method: str, operation: dict[str, Any]) -> None:
    operation["security"] = [{"token": []}]
    refusals = (Unauthorized,) if method == "get" else (Unauthorized, InsufficientScope)
    operation["responses"] |= {str(each.status): _example_response(each) for each in refusals}


def _complete(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add what every operation has: a summary, examples, its common problems, and the id of the request."""
    operation["summary"], _, operation["description"] = operation["description"].partition("\n\n")
    for parameter in operation.get("parameters", []):
        for repeated in ("title", "description"):
            parameter["schema"].pop(repeated, None)
    responses = operation["responses"]
    if "requestBody" in operation:
        _complete_body(method, operation["requestBody"]["content"], responses, schemas)
        responses["413"] = _problem_response(TooLarge(body_limit(path)))
    if wrong := _wrong_value(operation, schemas):
        responses["422"] = _problem_response(Invalid([wrong]))
    else:  # which leaves the head alone to get wrong
        responses["431"] = _problem_response(HeadTooLarge(MAX_HEAD_SIZE))
    responses |= {str(problem.status): _example_response(problem) for problem in (Internal, Unavailable)}
    for response in responses.values():
        if method != "get":
            response["headers"] = response.get("headers", {}) | _header_references("X-Dry-Run")
        response["headers"] = _header_references("X-Request-Id") | response.get("headers", {})
        if JSON in response.get("content", {}):
            _add_example(response["content"][JSON], schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _complete_body(method: str, content: dict[str, Any], responses: dict[str, Any], schemas: dict[str, Any]) -> None:
    media_types = body_types(method.upper())
    responses["400"] = _example_response(Malformed)
    responses["415"] = _problem_response(UnsupportedMediaType(media_types, method.upper()))
    _add_example(content[JSON], schemas)
    for media_type in media_types:
        content[media_type] = content[JSON]


_TYPES = {"string": ("must be a string", "string_type"), "integer": ("must be an integer", "int_type")}


def _wrong_value(operation: dict[str, Any], schemas: dict[str, Any]) -> InvalidValue | None:
    """What can be wrong with the first member of the body, or with the first parameter."""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"][JSON]["schema"]
        name, member = next(iter(_model(schema, schemas)["properties"].items()))
        detail, code = _TYPES[member["type"]]
        return InvalidValue(pointer=f"/0/{name}" if "items" in schema else f"/{name}", detail=detail, code=code)
    if "parameters" not in operation:
        return None
    return InvalidValue(pointer=operation["parameters"][0]["name"], detail="must be an integer", code="int_parsing")


def _example_response(kind: type[Problem]) -> dict[str, Any]:
    return _problem_response(next(example for example in _EXAMPLES if type(example) is kind))


def _problem_response(problem: Problem) -> dict[str, Any]:
    reference = {"$ref": _SCHEMA.format(model="Problem")}
    return {
        "description": problem.title + ".",
        "headers": _header_references(*(name for name in (problem.headers or {}) if name in _HEADERS)),
        "content": {ProblemResponse.media_type: {"schema": reference, "example": describe(problem)}},
    }


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _add_example(media: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The first example of the model; of a list of them, all."""
    schema = media["schema"]
    schema.pop("title", None)
    examples = _model(schema, schemas)["examples"]
    media["example"] = examples if "items" in schema else examples[0]


def _model(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The model that a schema refers to, or that of the elements of its list."""
    model: dict[str, Any] = schemas[schema.get("items", schema)["$ref"].rpartition("/")[2]]
    return model


def _make_exact(schema: dict[str, Any]) -> None:
    """FastAPI reads bounds as floats and publishes 9007199254740991.0, which generators refuse for an integer."""
    if schema.get("type") == "integer":
        schema.update({bound: int(schema[bound]) for bound in _INTEGER_BOUNDS if bound in schema})
        if schema.get("maximum", 0) >= 2**31:
            schema["format"] = "int64"  # without it, Java takes 32 bits


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document, schemas among them."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _objects(value)
