"""The clients that the README shows, run as they stand."""

import re
import sys
from pathlib import Path

import pytest

from tests.databases import ROOT, SQLite
from tests.sdks.running import run_program
from tests.servers import serving

COMMANDS = {
    "python": ("client.py", (sys.executable, "client.py")),
    "js": ("client.mjs", ("node", "client.mjs")),
    "go": ("client.go", ("go", "run", "client.go")),
}
"""Of each language of the README, the file that holds the client, and the command that runs it."""


@pytest.mark.slow
@pytest.mark.parametrize("language", COMMANDS)
def test_a_client_of_the_readme_changes_a_todo_and_reads_all_pages(
    folder: Path, sqlite_backend: SQLite, language: str
) -> None:
    (source,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    name, command = COMMANDS[language]
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        tasks = [f"task {number}" for number in range(250)]
        client.post("/todos/bulk", json=[{"task": task} for task in tasks])
        (folder / name).write_text(source.replace("http://127.0.0.1:8000", server.url))
        told = run_program(*command, folder=folder, GOCACHE=str(folder / "cache"), GO111MODULE="off")

        assert told.splitlines() == ["Buy milk", *tasks, "Buy milk"]
        assert client.get("/todos/251").json()["complete"] is True
