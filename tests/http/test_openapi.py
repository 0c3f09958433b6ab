"""The OpenAPI document by the judgment of others: of its standard, of two linters, and of a fuzzer of the server."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.applications import command, in_process
from tests.databases import ROOT, Backend, SQLite
from tests.linters.running import LINTERS, lint_by_redocly, lint_by_spectral, run
from tests.servers import Server, serving


@pytest.fixture(params=["local", "token"])
def document(request: pytest.FixtureRequest) -> Any:
    """The document as it is served without and with tokens; no database is opened for it."""
    return in_process(database_url="sqlite:///unused.db", auth=request.param).get("/openapi.json").json()


@pytest.fixture
def file(folder: Path, document: Any) -> Path:
    path = folder / "openapi.json"
    path.write_text(json.dumps(document, indent=2))  # in lines: the linters name the line of what they find
    return path


def test_the_document_keeps_to_the_openapi_standard(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


@pytest.mark.slow
def test_spectral_finds_nothing_in_the_document(linters: Path, file: Path) -> None:
    lint_by_spectral(linters, file)


@pytest.mark.slow
def test_redocly_finds_nothing_in_the_document(linters: Path, file: Path) -> None:
    lint_by_redocly(linters, file)


@pytest.mark.slow
def test_the_server_does_what_the_document_says_whatever_it_is_sent(folder: Path, backend: Backend) -> None:
    with serving(folder, TODO_DATABASE_URL=backend.empty()) as (server, _):
        fuzz(folder, server)


@pytest.mark.slow
def test_a_server_with_tokens_does_so_too_and_lets_nobody_in_without(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    token = command(url, "token", "create", "alice")
    with serving(folder, TODO_DATABASE_URL=url, TODO_AUTH="token") as (server, _):
        fuzz(folder, server, "--header", f"Authorization: Bearer {token}", "--max-examples", "50")


def fuzz(folder: Path, server: Server, *options: str) -> None:
    fuzzed = run(
        folder,
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", LINTERS / "schemathesis.toml", "run"),
        *options,
        *("--report", "json", "--report-json-path", folder / "report.json", f"{server.url}/openapi.json"),
        SCHEMATHESIS_HOOKS=str(LINTERS / "hooks.py"),
        PYTHONPATH=str(ROOT),
    )

    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    assert server.process.poll() is None
    report = json.loads((folder / "report.json").read_text())
    assert report["operations"]["tested"] == report["operations"]["total"]
    # A phase without anything to do passes as well.
    assert {phase: result["status"] for phase, result in report["phases"].items()} == dict.fromkeys(
        ("examples", "coverage", "fuzzing", "stateful"), "success"
    )
