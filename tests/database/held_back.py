"""The application, for tests of what happens between the commit of a request and its answer.

A request with the field `x-die` ends the process in place of its answer. No commit is made while there is a file of
the name in TODO_TEST_HOLD.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from todo_api.database.postgresql.writes import PooledWrites
from todo_api.database.sqlite.writes import InPlaceWrites
from todo_api.main import app as todo_app

HOLD = Path(os.environ.get("TODO_TEST_HOLD", "/no such file"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    is_last = any(name == b"x-die" for name, _ in scope.get("headers", ()))
    await todo_app(scope, receive, die if is_last else send)


async def die(message: Message) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def held_back(commit: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def commit_later(connection: Any) -> None:
        while HOLD.exists():  # noqa: ASYNC110, ASYNC240  # another process deletes it
            await asyncio.sleep(0.01)
        await commit(connection)

    return commit_later


for kind in (InPlaceWrites, PooledWrites):
    setattr(kind, "commit", held_back(kind.commit))  # noqa: B010  # mypy refuses to assign to a method
