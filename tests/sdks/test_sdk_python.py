"""The Python client that openapi-python-client generates, with a token."""

from pathlib import Path

from tests.applications import command
from tests.databases import SQLite
from tests.sdks.running import STORY, described_server, run_openapi_python_client, run_python_client


def test_a_client_of_openapi_python_client_works_with_a_token(folder: Path, sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    with described_server(folder, url, TODO_AUTH="token") as (server, document):
        run_openapi_python_client(document, folder)

        token = command(url, "token", "create", "alice")
        assert run_python_client("openapi_python_client", folder, server, token) == STORY
