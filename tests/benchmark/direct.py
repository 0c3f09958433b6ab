"""The application called without a client and a socket, so that nothing hides what a page costs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from starlette.types import Message

from todo_api.main import create_app
from todo_api.settings import Settings


class Direct:
    """A running application."""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def get(self, path: str, query: str = "") -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8000")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": dict(self._state),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])

    async def seconds(self, query: str, times: int = 9) -> float:
        """The least time that a page took: whatever else the machine does can only add to it."""
        best = float("inf")
        for number in range(times):
            started = time.perf_counter()
            await self.get("/todos", query)
            best = min(best, time.perf_counter() - started)
            if best > 0.05 and number > 1:  # the first one may have read from the disk
                break
        return best

    async def statements(self, query: str) -> list[tuple[str, Any]]:
        """What a page sends to the database, with its parameters."""
        found: list[tuple[str, Any]] = []

        def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            found.append((statement, parameters))

        engine = self._state["database"].reading.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            await self.get("/todos", query)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return found

    async def plan(self, statement: str, parameters: Any) -> str:
        """How the database goes about it."""
        reader = self._state["database"].probe  # whose connection nothing else has
        word = "EXPLAIN QUERY PLAN" if reader.dialect.name == "sqlite" else "EXPLAIN (ANALYZE)"
        async with reader.connect() as connection:
            # run_sync: SQLite in place never waits, at which the plain way would take offence.
            rows = await connection.run_sync(
                lambda sync: sync.exec_driver_sql(f"{word} {statement}", parameters).fetchall()
            )
            return "\n".join(str(row[-1]) for row in rows)


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Direct]:
    """The application on this database, started."""
    app = create_app(Settings(database_url=url))  # type: ignore[arg-type]  # parsed by the field
    state: dict[str, Any] = {}
    async with app.router.lifespan_context(app) as made:
        state.update(made or {})
        yield Direct(app, state)
