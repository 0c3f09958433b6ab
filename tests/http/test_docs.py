"""The documentation that the server gives of itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from tests.databases import ROOT

PROBLEM = "application/problem+json"


def document(client: TestClient) -> dict[str, Any]:
    loaded: dict[str, Any] = client.get("/openapi.json").json()
    return loaded


class Operation(NamedTuple):
    method: str
    path: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.described["operationId"]
        return name

    @property
    def parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = self.described.get("parameters", [])
        return parameters

    @property
    def is_write(self) -> bool:
        return self.method != "get"


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(method, path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def faults(document: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """What is wrong with the examples of a schema."""
    validator = OAS31Validator(schema | {"components": document["components"]}, format_checker=oas31_format_checker)
    return [error.message for example in schema["examples"] for error in validator.iter_errors(example)]


def is_bounded(schema: dict[str, Any]) -> bool:
    """Whether a schema says how large a value may be, or which ones there are."""
    if "anyOf" in schema:
        return all(map(is_bounded, schema["anyOf"]))
    match schema["type"]:
        case "integer":
            return {"minimum", "maximum"} <= schema.keys()
        case "string":
            return not schema.keys().isdisjoint(("maxLength", "pattern", "format", "enum"))
        case "array":
            return "maxItems" in schema and is_bounded(schema["items"])
    return True


def test_the_operations_are_named_as_sdk_methods(client: TestClient) -> None:
    assert {each.name: f"{each.method.upper()} {each.path}" for each in operations(document(client))} == {
        "list_todos": "GET /todos",
        "create_todo": "POST /todos",
        "patch_todos": "PATCH /todos",
        "delete_todos": "DELETE /todos",
        "create_todos": "POST /todos/bulk",
        "get_todo": "GET /todos/{todo_id}",
        "update_todo": "PUT /todos/{todo_id}",
        "patch_todo": "PATCH /todos/{todo_id}",
        "delete_todo": "DELETE /todos/{todo_id}",
        "move_todo": "POST /todos/{todo_id}/move",
        "list_trash": "GET /trash",
        "purge_todos": "DELETE /trash",
        "restore_todos": "POST /trash/restore",
        "get_deleted_todo": "GET /trash/{todo_id}",
        "purge_todo": "DELETE /trash/{todo_id}",
        "restore_todo": "POST /trash/{todo_id}/restore",
        "list_lists": "GET /lists",
        "create_list": "POST /lists",
        "get_list": "GET /lists/{list_id}",
        "update_list": "PUT /lists/{list_id}",
        "patch_list": "PATCH /lists/{list_id}",
        "delete_list": "DELETE /lists/{list_id}",
        "check_liveness": "GET /livez",
        "check_readiness": "GET /readyz",
    }


def test_every_body_is_derived_from_the_one_model(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    assert not [name for name in schemas if "-" in name]
    todo, create, update = schemas["TodoItem"], schemas["CreateTodoItem"], schemas["UpdateTodoItem"]
    settable = ["task", "complete", "notes", "due_on", "due_at", "priority", "tags", "list_id", "parent_id", "position"]
    server_set = ["created_at", "updated_at", "completed_at", "version"]
    assert todo["required"] == list(todo["properties"]) == ["id", *settable, *server_set]
    assert create["required"] == ["task"]
    assert "required" not in update
    assert create["properties"] == {name: todo["properties"][name] for name in settable}
    for name, member in update["properties"].items():
        assert member | {"x-omitempty": True} == todo["properties"][name] | {"x-omitempty": True}
    assert list(update["properties"]) == settable
    assert create["additionalProperties"] is update["additionalProperties"] is False
    assert "additionalProperties" not in todo
    assert not re.search(r'"(default|readOnly)":', json.dumps([todo, create, update]))


def test_every_parameter_is_described_and_bounded_and_has_an_example(client: TestClient) -> None:
    described = document(client)
    for operation in operations(described):
        for parameter in operation.parameters:
            schema = parameter["schema"]

            assert "For example `" in parameter["description"]
            assert faults(described, schema | {"examples": [parameter["example"]]}) == []
            # The whole head of a request has a limit.
            assert is_bounded(schema) or parameter["in"] == "header", (operation.name, parameter)
            assert schema.keys().isdisjoint(("title", "examples"))


def test_every_parameter_says_how_it_is_written(client: TestClient) -> None:
    listing = document(client)["paths"]["/todos"]["get"]["parameters"]
    change = document(client)["paths"]["/todos/{todo_id}"]["patch"]["parameters"]
    said = {each["name"]: each["description"] for each in [*listing, *change]}

    for name, form in {
        "ids": "`ids=1&ids=2`",
        "complete": "`complete=false`",
        "due_before": "day (2026-12-24) or instant (2026-12-24T18:00:00Z)",
        "sort": "`sort=due,-id`",
        "created_after": "`created_after=2026-11-25T09:30:00.123456Z`",
        "If-Match": "with its quotes; several of them, or `*`. When there is another version by now, the answer is 412"
        ' and nothing is changed. For example `If-Match: "1"`.',
    }.items():
        assert form in said[name]


def patterns(node: Any) -> Iterator[str]:
    """Every pattern of a part of the document."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from patterns(each)


def test_the_patterns_are_such_as_every_language_reads(client: TestClient) -> None:
    described = document(client)

    assert list(patterns(described))
    for pattern in patterns(described):
        assert pattern.isascii()
        assert r"\u" not in pattern
        assert all(int(code, 16) < 128 for code in re.findall(r"\\x(..)", pattern))
    # Swagger UI would send nothing, and say nothing.
    assert not list(patterns([operation.parameters for operation in operations(described)]))


def test_a_client_that_sends_unset_members_as_null_is_told_not_to(client: TestClient) -> None:
    schemas = document(client)["components"]["schemas"]
    nullable = [name for name, member in schemas["UpdateTodoItem"]["properties"].items() if "anyOf" in member]

    assert nullable == ["notes", "due_on", "due_at", "list_id", "parent_id"]
    assert [
        name for name, member in schemas["UpdateTodoItem"]["properties"].items() if "x-omitempty" in member
    ] == nullable


def test_a_client_of_a_local_server_may_send_a_token(client: TestClient) -> None:
    described = document(client)

    assert described["security"] == [{}, {"token": []}]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for operation in operations(described):
        assert operation.described.get("security") == ([] if operation.path in ("/livez", "/readyz") else None)
    assert client.get("/todos", headers={"authorization": "Bearer todo_unknown"}).status_code == 200


def test_every_member_is_described_and_has_an_example(client: TestClient) -> None:
    described = document(client)
    requests = ("CreateTodoItem", "UpdateTodoItem", "Move")
    for name, model in described["components"]["schemas"].items():
        assert model["description"]
        for member, schema in model["properties"].items():
            assert schema["description"], (name, member)
            assert schema["examples"], (name, member)
            assert faults(described, schema) == []
            assert is_bounded(schema) or name not in requests, (name, member)
            assert "title" not in schema


def test_every_body_and_every_answer_has_an_example_that_keeps_to_its_schema(client: TestClient) -> None:
    described = document(client)
    for operation in operations(described):
        bodies = [*operation.described["responses"].values(), operation.described.get("requestBody", {})]
        for media in (media for body in bodies for media in body.get("content", {}).values()):
            assert faults(described, media["schema"] | {"examples": [media["example"]]}) == [], operation.name


def on_first(path: str) -> str:
    """The path with the id 1."""
    return re.sub(r"\{\w+\}", "1", path)


def test_a_body_that_is_too_large_is_answered_as_the_example_says(client: TestClient) -> None:
    with_body = [each for each in operations(document(client)) if "requestBody" in each.described]
    for operation in with_body:
        url, body = on_first(operation.path), b" " * (1024 * 1024 + 1)
        answer = client.request(operation.method, url, content=body, headers={"content-type": "application/json"})

        assert answer.json() == operation.described["responses"]["413"]["content"][PROBLEM]["example"]
    assert len({str(operation.described["responses"]["413"]) for operation in with_body}) == 2


def test_what_is_refused_is_answered_as_the_examples_say(client: TestClient) -> None:
    client.post("/todos", json={"task": "a"})
    client.post("/lists", json={"name": "a"})
    for operation in operations(document(client)):
        url, responses = on_first(operation.path), operation.described["responses"]
        if "requestBody" in operation.described:
            wrong = responses["422"]["content"][PROBLEM]["example"]["errors"][0]["pointer"].split("/")
            body: Any = {wrong[-1]: []}
            answers = {
                "415": client.request(operation.method, url, content=b"x", headers={"content-type": "text/plain"}),
                "422": client.request(operation.method, url, json=[body] if len(wrong) > 2 else body),
            }
        elif parameters := operation.described.get("parameters"):
            name = parameters[0]["name"]
            in_path = operation.path.replace(f"{{{name}}}", "x")
            answers = {
                "422": client.request(
                    operation.method, in_path, params={} if in_path != operation.path else {name: "x"}
                )
            }
        else:
            assert "422" not in responses
            answers = {"431": client.request(operation.method, url, headers={"x": "y" * 9000})}
        for status, answer in answers.items():
            assert answer.json() == responses[status]["content"][PROBLEM]["example"], operation.name


def test_every_header_of_an_answer_is_described_and_has_an_example(client: TestClient) -> None:
    described = document(client)
    for name, header in described["components"]["headers"].items():
        assert header["description"]
        assert header["schema"]["examples"], name
        assert faults(described, header["schema"]) == []
    for operation in operations(described):
        for answer in operation.described["responses"].values():
            assert "X-Request-Id" in answer["headers"]
            assert ("X-Dry-Run" in answer["headers"]) == operation.is_write, operation.name


def test_every_example_of_a_request_can_be_sent_as_it_stands(client: TestClient) -> None:
    client.post("/todos/bulk", json=[{"task": "a"}, {"task": "b"}, {"task": "c"}])
    client.delete("/todos/3")
    client.post("/lists", json={"name": "a"})
    described = document(client)
    for operation in operations(described):
        url = on_first(operation.path.replace("/trash/{todo_id}", "/trash/3"))
        for query, headers, body in examples(described, operation):
            answer = client.request(operation.method, url, params=query, headers=headers, json=body)

            assert answer.status_code < 400, (operation.name, query, headers, body, answer.text)


def examples(document: dict[str, Any], operation: Operation) -> Iterator[tuple[Any, Any, Any]]:
    """Requests that have one example each, and what else they can't be without; none of them changes anything."""
    needed: dict[str, Any] = {"dry_run": True} if operation.is_write else {}
    if operation.name in ("patch_todos", "delete_todos"):
        needed["complete"] = False
    if operation.name in ("restore_todos", "purge_todos"):
        needed["deleted_after"] = "2000-01-01T00:00:00Z"
    first, *others = bodies(document, operation)
    for body in (first, *others):
        yield needed, {}, body
    for parameter in operation.parameters:
        name = parameter["name"]
        if parameter["in"] == "query" and name != "dry_run":
            yield needed | {name: parameter["example"]}, {}, first
        elif parameter["in"] == "header":
            yield needed, {name: parameter["example"]}, first


def bodies(document: dict[str, Any], operation: Operation) -> list[Any]:
    if "requestBody" not in operation.described:
        return [None]
    media = operation.described["requestBody"]["content"]["application/json"]
    if media["schema"].get("type") == "array":
        return [media["example"]]
    model = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
    found: list[Any] = model["examples"]
    assert media["example"] == found[0]
    return found


def test_the_document_says_which_end_of_the_priorities_is_urgent(client: TestClient) -> None:
    described = document(client)
    priority = described["components"]["schemas"]["TodoItem"]["properties"]["priority"]
    said = {each["name"]: each["description"] for each in described["paths"]["/todos"]["get"]["parameters"]}

    assert "1 is the most urgent, 9 the least, 0 says nothing" in priority["description"]
    assert "as urgent or less" in said["priority_min"]
    assert "as urgent or more, and those of 0, which says nothing" in said["priority_max"]


def test_the_document_shows_how_to_clear_a_member(client: TestClient) -> None:
    assert {"due_on": None} in document(client)["components"]["schemas"]["UpdateTodoItem"]["examples"]


def test_integer_bounds_are_integers(client: TestClient) -> None:
    assert '"maximum":9007199254740991,' in client.get("/openapi.json").text


@pytest.mark.slow
def test_the_document_does_not_depend_on_the_process() -> None:
    documents = {
        subprocess.run(
            [sys.executable, "-c", "import json, todo_api.main; print(json.dumps(todo_api.main.app.openapi()))"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(documents) == 1


def test_the_page_needs_no_other_host_and_runs_no_inline_code(client: TestClient) -> None:
    page = client.get("/docs")

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"https?://|<style|<script>| on\w+=", page.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert client.get("/" + path).status_code == 200
