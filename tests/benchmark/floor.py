"""The floor: a bare ASGI function over sqlite3 on the product's own file. It checks nothing and documents nothing."""

import json
import os
import sqlite3
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from tests.benchmark.rows import COLUMNS

_NAMES = [name for name in COLUMNS if name not in ("owner", "task_folded", "notes_folded")]
_SELECT = f"SELECT {', '.join(_NAMES)} FROM todo_items"
_CREATE = """INSERT INTO todo_items (owner, task, complete, position, created_at, updated_at, version)
SELECT 'local', ?, 0, max(position) + 65536, datetime(), datetime(), 1 FROM todo_items WHERE owner = 'local'"""
_UPDATE = "UPDATE todo_items SET complete = ?, updated_at = datetime(), version = version + 1 WHERE id = ?"

_database = sqlite3.connect(os.environ["FLOOR_DATABASE"], isolation_level=None)
_database.execute("PRAGMA journal_mode = WAL")
_database.execute("PRAGMA synchronous = FULL")


def _todo(row: tuple[Any, ...]) -> dict[str, Any]:
    todo = dict(zip(_NAMES, row, strict=True))
    return todo | {"complete": bool(todo["complete"]), "tags": json.loads(todo["tags"])}


def _one(todo_id: int) -> dict[str, Any]:
    return _todo(_database.execute(f"{_SELECT} WHERE id = ?", [todo_id]).fetchone())


def _page(query: dict[str, list[str]]) -> list[dict[str, Any]]:
    where, values = "owner = 'local'", list[Any]()
    if "cursor" in query:
        cursor = query["cursor"][0]
        where += " AND id > ?"
        values.append(json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[-1])
    if "complete" in query:
        where += " AND complete = ?"
        values.append(query["complete"] == ["true"])
    if "q" in query:
        where += " AND id IN (SELECT rowid FROM todo_items_search WHERE todo_items_search MATCH ? LIMIT 50)"
        values.append(query["q"][0])
    return [_todo(row) for row in _database.execute(f"{_SELECT} WHERE {where} ORDER BY id LIMIT 50", values)]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = (await receive()).get("body", b"")
    method, name = scope["method"], scope["path"].removeprefix("/todos").removeprefix("/")
    status = 200
    answer: Any = None
    if method == "POST":
        status, answer = 201, _one(_database.execute(_CREATE, [json.loads(body)["task"]]).lastrowid or 0)
    elif method == "PUT":
        _database.execute(_UPDATE, [json.loads(body)["complete"], int(name)])
        answer = _one(int(name))
    elif method == "DELETE":
        _database.execute("DELETE FROM todo_items WHERE id = ?", [int(name)])
        status = 204
    elif not name:
        answer = _page(parse_qs(scope["query_string"].decode()))
    elif any(header == b"if-none-match" for header, _ in scope["headers"]):
        _database.execute("SELECT version FROM todo_items WHERE id = ?", [int(name)]).fetchone()
        status = 304
    else:
        answer = _one(int(name))
    content = b"" if answer is None else json.dumps(answer, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers if content else []})
    await send({"type": "http.response.body", "body": content})
