"""Client SDKs are generated from the server's own document, and all do the same work on the server.

`story.py`, `story.ts` and `Main.java` are that work; the other files here say it in the calls of one generator.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import ROOT
from tests.servers import Server, serving

SDKS = Path(__file__).parent
PATIENCE = 180
"""Seconds after which a compiler or an installation that has not done its work never will."""

STORY = """\
create: 201 #1 v1 Buy milk, open
create: 201 #2 v1 Walk the dog, open
create: 201 #3 v1 Read a book, open
list: 200 #1 #2
list: 200 #3
list of 1 and 3: 200 #1 #3
get: 200 #1 v1 Buy milk, open
patch: 200 #1 v2 Buy milk, done
stale put: 412 /problems/precondition-failed, Precondition failed: It is in another version than If-Match names.
put: 200 #1 v3 Buy bread, done
stale delete: 412 /problems/precondition-failed, Precondition failed: It is in another version than If-Match names.
delete: 204
get: 404 /problems/not-found, Not found: There is no todo with this id.
dated: 201 #4 v1 Wrap it, open, 2026-12-24, red blue green
due at: 200 #4 v2 Wrap it, open, 2026-12-24T17:30:00Z, red blue green
never due: 200 #4 v3 Wrap it, open, red blue green
move: 200 #4 v4 Wrap it, open, red blue green
in order: 200 #4 #2 #3
complete many: 200 3 matched, 3 changed
make list: 201 #1 v1 Groceries
into list: 200 #4 v6 Wrap it, done, red blue green, in list 1
subtask: 201 #5 v1 Fold it, open, in list 1, below 4
not empty: 409 /problems/not-empty, Not empty: Todos in this list: 2. Send with_todos=true to delete them with it.
once: 201 #6 v1 Water it, open
again: 201 #6 v1 Water it, open
create: 422 /problems/validation, Validation failed: /task: must not be empty (/task)
"""
"""What every client prints: the status of each answer, and what its typed todo, todos or problem holds."""

SHORT_STORY = """\
created #1
created #2
created #3
filtered #1
page #1 #2
page #3
last page: true
never due: v2, Two litres, true, shop
stale: 412 It is in another version than If-Match names.
too many: 409 3 matched and 3 would be changed, which is more than max_affected allows.
wrong: 422 due_before: must be a day (2026-12-24) or an instant (2026-12-24T18:00:00Z)
subtask: #4 in list 1 below 1
not empty: 409 Todos in this list: 2. Send with_todos=true to delete them with it.
once: #5 #5
"""
"""What the clients of further languages print: filters, pages, a member set to null, problems, and a retry."""


@contextmanager
def described_server(folder: Path, url: str, **environment: str) -> Iterator[tuple[Server, Path]]:
    """A running server without todos, and a file with the document that it serves."""
    with serving(folder, TODO_DATABASE_URL=url, **environment) as (server, client):
        document = folder / "openapi.json"
        document.write_text(client.get("/openapi.json").text)
        yield server, document


def run_program(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """Run a generator, a compiler or a client to its end; what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_openapi_python_client(document: Path, folder: Path) -> None:
    """Generate the package `todo_sdk` in the folder."""
    config = folder / "config.json"
    config.write_text(json.dumps({"post_hooks": []}))  # they format the code, with a program that is not there
    paths = ("--path", document, "--output-path", folder / "todo_sdk", "--config", config)
    # It warns of what it can't read in the document, and leaves it out.
    options = ("--meta", "none", "--fail-on-warning", *paths)
    run_program(sys.executable, "-m", "openapi_python_client", "generate", *options)


def run_python_client(name: str, folder: Path, server: Server, *arguments: str) -> str:
    """Run the client of that name with the package that was generated into the folder; what it printed."""
    return run_program(sys.executable, "-m", f"tests.sdks.{name}", server.url, *arguments, PYTHONPATH=str(folder))
