"""The documentation that the server gives of itself."""

import json
import os
import re
import subprocess
import sys

from fastapi.testclient import TestClient

from tests.databases import ROOT


def document(client: TestClient) -> dict[str, object]:
    loaded: dict[str, object] = client.get("/openapi.json").json()
    return loaded


def operations(client: TestClient) -> dict[str, str]:
    paths = client.get("/openapi.json").json()["paths"]
    return {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def test_the_operations_are_named_as_sdk_methods(client: TestClient) -> None:
    assert operations(client) == {
        "list_todos": "GET /todos",
        "create_todo": "POST /todos",
        "get_todo": "GET /todos/{todo_id}",
        "update_todo": "PUT /todos/{todo_id}",
        "patch_todo": "PATCH /todos/{todo_id}",
        "delete_todo": "DELETE /todos/{todo_id}",
    }


def test_every_body_is_derived_from_the_one_model(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    assert not [name for name in schemas if "-" in name]
    todo, create, update = schemas["TodoItem"], schemas["CreateTodoItem"], schemas["UpdateTodoItem"]
    assert todo["required"] == list(todo["properties"]) == ["id", "task", "complete", "version"]
    assert create["required"] == ["task"]
    assert "required" not in update
    assert (
        create["properties"]
        == update["properties"]
        == {name: todo["properties"][name] for name in ("task", "complete")}
    )
    assert create["additionalProperties"] is update["additionalProperties"] is False
    assert "additionalProperties" not in todo
    assert not re.search(r'"(default|readOnly)":', json.dumps([todo, create, update]))


def test_integer_bounds_are_integers(client: TestClient) -> None:
    assert '"maximum":9007199254740991,' in client.get("/openapi.json").text


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
