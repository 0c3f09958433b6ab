"""The application in process, called as from this machine, and its commands."""

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from fastapi.testclient import TestClient

from todo_api.__main__ import parse_arguments
from todo_api.access import commands
from todo_api.main import create_app
from todo_api.settings import Settings


def in_process(peer: tuple[str, int] | None = ("127.0.0.1", 50000), **settings: Any) -> TestClient:
    """A client of an application with these settings, which starts by `with`."""
    app = create_app(Settings(**settings))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=peer)  # type: ignore[arg-type]  # None: without address


def sort_members(document: Any, path: str = "/todos") -> list[str]:
    """What a list can be sorted by; the description of `sort` names it."""
    parameters = document["paths"][path]["get"]["parameters"]
    (sort,) = (each["description"] for each in parameters if each["name"] == "sort")
    named = sort.partition("Members: ")[2].partition(" For example")[0]
    return list(dict.fromkeys(re.findall(r"`(\w+)`", named)))


def command(database_url: str, *arguments: str) -> str:
    """Run `python -m todo_api` with these arguments, in process; what it printed."""
    settings = Settings(database_url=database_url)  # type: ignore[arg-type]  # parsed by the field
    printed = StringIO()
    with redirect_stdout(printed):
        commands.run(parse_arguments(settings, arguments), settings)
    return printed.getvalue().strip()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def as_owner(database_url: str, owner: str, *options: str) -> dict[str, str]:
    """The headers of a request with a new token of this owner."""
    return bearer(command(database_url, "token", "create", owner, *options))
