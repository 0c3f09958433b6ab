"""The Python client that openapi-python-client generates."""

from pathlib import Path

from tests.databases import SQLite
from tests.sdks.running import STORY, described_server, run_openapi_python_client, run_python_client


def test_a_client_of_openapi_python_client_works(folder: Path, sqlite_backend: SQLite) -> None:
    with described_server(folder, sqlite_backend) as (server, document):
        run_openapi_python_client(document, folder)

        assert run_python_client("openapi_python_client", folder, server) == STORY
