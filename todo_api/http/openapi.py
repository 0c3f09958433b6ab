"""The OpenAPI document: what FastAPI derives from the routes, completed and made exact for generators of clients."""

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from todo_api.database.owners import owned_tables
from todo_api.http.bodies import JSON
from todo_api.http.headers import OPEN_PATHS
from todo_api.http.introduction import introduction
from todo_api.http.problem import InvalidValue, ProblemDocument
from todo_api.http.problems import (
    DiskFull,
    HeadTooLarge,
    InsufficientScope,
    Internal,
    Invalid,
    Malformed,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from todo_api.http.responses import CHALLENGE, HEADERS, SCHEMA, example_response, header_references, problem_response
from todo_api.http.routing import Route
from todo_api.http.strict import MAX_HEAD_SIZE
from todo_api.single_model.table import examples_of

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, `todo_…`, that the operator of this server made.",
}
_INTEGER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def build_document(app: FastAPI, *, with_tokens: bool, url: str) -> dict[str, Any]:
    """The document of `app`, made once, for a server at `url`; `with_tokens` it says that each operation needs one."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=introduction(url, with_tokens=with_tokens),
            contact=app.contact,
            license_info=app.license_info,
            servers=[{"url": url}],
            tags=app.openapi_tags,
            routes=app.routes,
        )
        document["tags"] = _tags(app)
        # Without tokens one may be sent all the same, so that a client of this document can call both kinds of server.
        document["security"] = [] if with_tokens else [{}, {"token": []}]
        components = document.setdefault("components", {})
        components["headers"] = {name: header for name, header in HEADERS.items() if with_tokens or name != CHALLENGE}
        schemas = components.setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = TypeAdapter(ProblemDocument).json_schema(ref_template=SCHEMA)
        schemas |= problem.pop("$defs") | {"Problem": problem | {"title": "Problem"}}
        _tidy(schemas)
        components["securitySchemes"] = {"token": _BEARER}
        routes = {route.operation_id: route for route in app.routes if isinstance(route, Route)}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if path in OPEN_PATHS:
                    operation["security"] = []
                elif with_tokens:
                    _require_token(method, operation)
                _complete(method, operation, schemas, routes.get(operation["operationId"]))
        for schema in _objects(document):
            _make_exact(schema)
        app.openapi_schema = document
    return app.openapi_schema


def _tags(app: FastAPI) -> list[dict[str, str]]:
    """The tags in the order of the routes; the docstring of their module describes those that `app` does not."""
    described = {tag["name"]: tag for tag in app.openapi_tags or []}
    routes = [each for each in app.routes if isinstance(each, APIRoute)]
    modules = {str(tag): inspect.getmodule(each.endpoint) for each in routes for tag in each.tags}
    return [
        described.get(name) or {"name": name, "description": inspect.getdoc(module) or ""}
        for name, module in modules.items()
    ]


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
    operation["responses"] |= {str(each.status): example_response(each) for each in refusals}


def _complete(method: str, operation: dict[str, Any], schemas: dict[str, Any], route: Route | None) -> None:
    """Add what every operation has: a summary, examples, its common problems, and the id of the request."""
    operation["summary"], _, more = operation["description"].partition("\n\n")
    operation["description"] = more or f"{operation['summary']}."
    if "parameters" in operation:
        operation["parameters"] = [_with_example(each) for each in operation["parameters"]]
    responses = operation["responses"]
    if "requestBody" in operation and route is not None:
        _complete_body(route, method, operation["requestBody"]["content"], responses, schemas)
    if wrong := _wrong_value(operation, schemas):
        responses["422"] = problem_response(Invalid([wrong]))
    responses["431"] = problem_response(HeadTooLarge(MAX_HEAD_SIZE))
    responses |= {str(problem.status): example_response(problem) for problem in (Internal, Unavailable)}
    if method != "get":
        responses["507"] = problem_response(DiskFull())
    for response in responses.values():
        if method != "get":
            response["headers"] = response.get("headers", {}) | header_references("X-Dry-Run")
        response["headers"] = header_references("X-Request-Id") | response.get("headers", {})
        if JSON in response.get("content", {}):
            _add_example(response["content"][JSON], schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _with_example(parameter: dict[str, Any]) -> dict[str, Any]:
    """The parameter with an example of its own, which its description has as it is written in a request."""
    schema = {name: each for name, each in parameter["schema"].items() if name not in ("title", "description")}
    example = schema.pop("examples")[0]
    values = example if isinstance(example, list) else [example]
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    name = parameter["name"]
    form = {"query": "&".join(f"{name}={text}" for text in texts), "header": f"{name}: {texts[0]}", "path": texts[0]}
    described = f"{parameter['description']} For example `{form[parameter['in']]}`."
    return parameter | {"description": described, "example": example, "schema": schema}


def _complete_body(
    route: Route, method: str, content: dict[str, Any], responses: dict[str, Any], schemas: dict[str, Any]
) -> None:
    responses["400"] = example_response(Malformed)
    responses["413"] = problem_response(TooLarge(route.body_limit))
    responses["415"] = problem_response(UnsupportedMediaType(route.body_types, method.upper()))
    _add_example(content[JSON], schemas)
    for media_type in route.body_types:
        content[media_type] = content[JSON]


_TYPES = {"string": ("must be a string", "string_type"), "integer": ("must be an integer", "int_type")}


def _wrong_value(operation: dict[str, Any], schemas: dict[str, Any]) -> InvalidValue | None:
    """An example of a wrong value: of the first member of the body, else of the first parameter."""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"][JSON]["schema"]
        name, member = next(iter(_model(schema, schemas)["properties"].items()))
        detail, code = _TYPES[member["type"]]
        return InvalidValue(pointer=f"/0/{name}" if "items" in schema else f"/{name}", detail=detail, code=code)
    if "parameters" not in operation:
        return None
    return InvalidValue(pointer=operation["parameters"][0]["name"], detail="must be an integer", code="int_parsing")


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
