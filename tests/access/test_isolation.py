"""Two owners on one server, one of whom tries everything to get at what is the other's.

What is tried comes out of the OpenAPI document, so that a new route is attacked without anybody thinking of it.
"""

import ast
import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Executable, Row, Table, exists, func, insert, literal, text, union
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col, delete, select, update

from tests.applications import as_owner, in_process, sort_members
from tests.databases import ROOT, SQLite
from todo_api.access.tokens import AccessToken
from todo_api.database.engines import Database, parse_url
from todo_api.database.owners import ALL_OWNERS, NotIsolatedError
from todo_api.database.session import Session
from todo_api.models import TodoItem
from todo_api.single_model.fields import MAX_INTEGER

WORD = "zanzibar"
"""A word in each of Alice's todos and lists, and in nothing of Bob's."""
NO_ID = 987654321
"""The id of nothing."""
COLLECTIONS = {"todo": ("/todos", "task"), "list": ("/lists", "name")}
"""For each kind of row, the path of all of them, and a member that no other kind has."""

Ids = Mapping[str, int]
"""An id of each kind of row."""


class Call(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Any = None

    def send(self, client: TestClient, caller: Mapping[str, str]) -> httpx.Response:
        headers = {**self.headers, **caller}
        return client.request(self.method, self.path, params=self.query, headers=headers, json=self.body)


class Attacked:
    """A server with todos and lists of Alice's and of Bob's, and what Bob finds out there."""

    def __init__(self, client: TestClient, database_url: str) -> None:
        self.client = client
        self.alice = as_owner(database_url, "alice")
        self.bob = as_owner(database_url, "bob")
        for caller, name in ((self.alice, WORD), (self.bob, "mine")):
            for path in ("/lists?dry_run=true", "/lists", "/lists"):
                kept = client.post(path, json={"name": name}, headers=caller).json()["id"]
            parent = None
            for number in range(3):
                body = {"task": f"{name} {number}", "complete": number == 1, "list_id": kept, "parent_id": parent}
                parent = client.post("/todos", json=body, headers=caller).json()["id"]
            deleted = client.post("/todos", json={"task": name}, headers=caller).json()["id"]
            client.delete(f"/todos/{deleted}", headers=caller)
        client.put("/todos/1", json={"complete": True}, headers=self.alice)
        self.ids = ids_of_rows(self.rows(self.alice))
        link = client.get("/todos?limit=1", headers=self.alice).headers["link"]
        self.cursor = parse_qs(urlsplit(link[1 : link.index(">")]).query)["cursor"][0]
        self.before = self.rows(self.alice)
        self.attempts = 0
        self.leaks: list[tuple[Call, str]] = []

    def todos(self, caller: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = self.client.get("/todos?limit=500&count=true", headers=caller)
        todos: list[dict[str, Any]] = answer.json()
        assert answer.headers["x-total-count"] == str(len(todos))
        return todos

    def rows(self, caller: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            each
            for path in ("/trash", *(path for path, _ in COLLECTIONS.values()))
            for each in self.client.get(f"{path}?limit=500", headers=caller).json()
        ]

    def attack(self, call: Call, twin: Call | None = None) -> None:
        """Have Bob make a call, and `twin`, the same with an id that there is not, which must be answered the same."""
        self.attempts += 1
        answer = call.send(self.client, self.bob)
        if answer.status_code >= 500:
            self.leaks.append((call, answer.text))
        if WORD in answer.text or WORD in str(answer.headers) or ids_in(answer) & self.ids:
            self.leaks.append((call, answer.text))
        total = int(answer.headers.get("x-total-count", 0))
        if total and total > len(self.rows(self.bob)):
            self.leaks.append((call, "counts more than there are"))
        if call.method != "GET" and self.rows(self.alice) != self.before:
            self.leaks.append((call, "changed"))
        if twin is not None and seen(answer) != seen(twin.send(self.client, self.bob)):
            self.leaks.append((call, f"{answer.status_code}: tells that there is something"))


def seen(answer: httpx.Response) -> tuple[object, ...]:
    """All that tells one answer from another, but for the id of what it made and the name of its request."""
    if answer.request.method != "GET" and answer.is_success:
        return (answer.status_code,)
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, answer.content, headers


def ids_in(answer: httpx.Response) -> set[tuple[str, int]]:
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return ids_of_rows(dicts(answer.json())) if is_json else set()


def ids_of_rows(rows: Iterable[dict[str, Any]]) -> set[tuple[str, int]]:
    """The kind and the id of each row."""
    return {(kind, row["id"]) for row in rows for kind, (_, member) in COLLECTIONS.items() if member in row}


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from dicts(each)


@pytest.fixture
def attacked(database_url: str) -> Iterator[Attacked]:
    with in_process(database_url=database_url, auth="token") as client:
        yield Attacked(client, database_url)


def operations(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """The method, the path and the description of each operation; the schemas of all."""
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation, document["components"]["schemas"]


def calls(client: TestClient, ids: Ids, cursor: str) -> Iterator[Call]:
    """Each operation, as it is and with each of its parameters, on these rows wherever an id can be named."""
    orders = [f"{sign}{each}" for each in sort_members(client.get("/openapi.json").json()) for sign in ("", "-")]
    for method, path, operation, schemas in operations(client):
        parameters = operation.get("parameters", [])
        assert all(each["schema"]["type"] == "integer" for each in parameters if each["in"] == "path"), "not an id?"
        bodies = list(bodies_on(ids, operation, schemas)) or [None]
        plain = Call(method, on(path, ids), body=bodies[0])
        for body in bodies:
            yield plain._replace(body=body)
        for parameter in parameters:
            name = parameter["name"]
            if parameter["in"] == "query":
                word = cursor if name == "cursor" else WORD
                row_id = ids["list" if name == "list_id" or path.startswith("/lists") else "todo"]
                for value in [*values(parameter["schema"], row_id, word), *(orders if name == "sort" else ())]:
                    yield plain._replace(query={name: value})
                    yield plain._replace(query={name: value, "count": "true", "limit": "500"})
            elif parameter["in"] == "header":
                for tag in ("*", '"1"', '"2"', 'W/"1"', '"1", "2"', '"9"'):
                    yield plain._replace(headers={name: tag})


def on(path: str, ids: Ids) -> str:
    """The path with the id of a row in the place of its parameter."""
    return re.sub(r"\{(\w+)_id\}", lambda found: str(ids[found[1]]), path)


def bodies_on(ids: Ids, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Any]:
    """The examples of a body, and each with one of these rows in place of each id."""
    if "requestBody" not in operation:
        return
    media = operation["requestBody"]["content"]["application/json"]
    examples = [*resolved(media["schema"], schemas).get("examples", []), *filter(None, [media.get("example")])]
    assert examples, "no example of this body: what should be sent?"
    for example in examples:
        yield example
        for number, _ in enumerate(ids_of(example, media["schema"], schemas)):
            attack = deepcopy(example)
            holder, key = list(ids_of(attack, media["schema"], schemas))[number]
            holder[key] = ids["list" if key == "list_id" else "todo"]
            yield attack


def ids_of(body: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where a body has ids: the object or array, and the place in it."""
    for holder, key, kinds in places(body, schema, schemas):
        if any(is_id(kind) for kind in kinds):
            yield holder, key


def is_id(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "integer" and schema.get("maximum", 0) >= MAX_INTEGER


def places(
    value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[tuple[Any, Any, list[Mapping[str, Any]]]]:
    """Each member and each element in a body, and the schemas that it may have."""
    kinds = alternatives(schema, schemas)
    if isinstance(value, dict):
        inner = [
            (name, [kind["properties"][name] for kind in kinds if name in kind.get("properties", {})]) for name in value
        ]
    elif isinstance(value, list):
        inner = [(number, [kind["items"] for kind in kinds if "items" in kind]) for number, _ in enumerate(value)]
    else:
        return
    for key, found in inner:
        yield value, key, [kind for each in found for kind in alternatives(each, schemas)]
        for each in found:
            yield from places(value[key], each, schemas)


def alternatives(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    kinds = [resolved(schema, schemas)]
    for kind in kinds:
        kinds += [resolved(each, schemas) for word in ("anyOf", "oneOf", "allOf") for each in kind.get(word, ())]
    return kinds


def values(schema: Mapping[str, Any], row_id: int, words: str) -> list[str]:
    """What a parameter may be: this row, or the words, or what its schema names."""
    kind = schema["items"] if schema["type"] == "array" else schema
    if kind["type"] == "integer":
        return [str(row_id)] if is_id(kind) else [str(kind["minimum"]), str(kind["maximum"])]
    if kind["type"] == "boolean":
        return ["true", "false"]
    return [words, *kind.get("enum", [])]


def resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def test_nothing_of_another_owner_is_seen_counted_changed_or_told_apart_from_nothing(
    attacked: Attacked, record_property: Callable[[str, object], None]
) -> None:
    client, nowhere = attacked.client, dict.fromkeys(COLLECTIONS, NO_ID)
    unknown = list(calls(client, nowhere, attacked.cursor))
    todos, lists = ([row_id for kind, row_id in sorted(attacked.ids) if kind == each] for each in COLLECTIONS)
    # A todo that is complete, one that is open and one in the trash; a list with todos and one without.
    for todo, list_id in ((todos[0], lists[0]), (todos[-2], lists[-1]), (todos[-1], lists[-1])):
        ids = {"todo": todo, "list": list_id}
        for call, twin in zip(calls(client, ids, attacked.cursor), unknown, strict=True):
            attacked.attack(call, twin if call != twin else None)

    record_property("attempts", attacked.attempts)
    assert attacked.leaks == []
    assert attacked.attempts > 140
    assert attacked.rows(attacked.alice) == attacked.before


def test_the_owner_is_no_member_no_parameter_and_in_no_schema(attacked: Attacked) -> None:
    document = attacked.client.get("/openapi.json").text
    assert '"owner' not in document
    assert '"digest' not in document
    for parameter in ("owner=alice", "sort=owner", "sort=-owner", "owner=", "OWNER=alice"):
        refused = attacked.client.get(f"/todos?{parameter}", headers=attacked.bob)

        assert refused.status_code == 422
        assert "did you mean" not in refused.text
    for todo in attacked.todos(attacked.bob):
        assert "owner" not in todo


def test_of_all_columns_a_body_takes_the_documented_members_alone(attacked: Attacked) -> None:
    tables: list[Table] = list(SQLModel.metadata.tables.values())
    columns = {column.name for table in tables for column in table.columns}
    assert {"id", "owner", "version", "digest"} <= columns
    mine = dict(sorted(ids_of_rows(attacked.rows(attacked.bob)), reverse=True))  # the first: it is not in the trash

    tried = 0
    for method, path, operation, schemas in operations(attacked.client):
        target = on(path, mine)
        for example in bodies_on(mine, operation, schemas):
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            for members, known in objects(example, schema, schemas):
                for column in sorted(columns - known):
                    for value in ("alice", NO_ID):
                        tried += 1
                        members[column] = value
                        answer = Call(method, target, body=example).send(attacked.client, attacked.bob)
                        del members[column]

                        assert answer.status_code == 422, (method, path, column)
                        pointers = [error["pointer"] for error in answer.json()["errors"]]
                        assert any(pointer.endswith(f"/{column}") for pointer in pointers)
    assert tried > 20
    assert attacked.rows(attacked.alice) == attacked.before


def objects(
    body: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Each object in a body, and the names of the members that it may have."""
    outermost = [({"body": body}, "body", alternatives(schema, schemas))]
    for holder, key, kinds in [*outermost, *places(body, schema, schemas)]:
        if isinstance(holder[key], dict):
            yield holder[key], {name for kind in kinds for name in kind.get("properties", {})}


def on_a_session(database_url: str, owner: str, work: Callable[[Session], Any]) -> Any:
    async def run() -> Any:
        database = Database(parse_url(database_url))
        try:
            async with Session(database.writer, owner) as session:
                return await work(session)
        finally:
            await database.dispose()

    return asyncio.run(run())


def fetched(database_url: str, owner: str, statement: Any) -> list[Any]:
    async def work(session: Session) -> list[Any]:
        found = (await session.exec(statement)).all()
        return [tuple(row) if isinstance(row, Row) else (row,) for row in found]

    rows: list[Any] = on_a_session(database_url, owner, work)
    return rows


def found(database_url: str, owner: str, statement: Any) -> list[Any]:
    """The first column of what is fetched."""
    return [row[0] for row in fetched(database_url, owner, statement)]


@pytest.fixture
def shared_url(sqlite_backend: SQLite) -> str:
    """A database with the todo 1 of Alice's, and 2 and 3 of Bob's."""
    database_url = sqlite_backend.migrated()
    for owner, tasks in (("alice", ["a"]), ("bob", ["b", "c"])):

        async def work(session: Session, tasks: list[str] = tasks) -> None:
            session.add_all([TodoItem(task=task, position=1) for task in tasks])
            await session.commit()

        on_a_session(database_url, owner, work)
    return database_url


OTHER = aliased(TodoItem)
IDS = select(TodoItem.id)
SELECTS: dict[str, tuple[Executable, list[object]]] = {
    "rows": (select(TodoItem.task), ["b", "c"]),
    "a row by its id": (IDS.where(col(TodoItem.id) == 1), []),
    "an alternative": (IDS.where((col(TodoItem.id) == 1) | (col(TodoItem.task) == "c")), [3]),
    "a count": (select(func.count()).select_from(TodoItem), [2]),
    "a greatest": (select(func.min(TodoItem.id)), [2]),
    "an alias": (select(OTHER.id), [2, 3]),
    "a join with an alias": (IDS.join(OTHER, col(OTHER.id) < col(TodoItem.id)), [3]),
    "an outer join with an alias": (
        select(OTHER.id).select_from(TodoItem).outerjoin(OTHER, col(OTHER.id) < col(TodoItem.id)),
        [None, 2],
    ),
    "a list of ids": (IDS.where(col(TodoItem.id).in_(select(OTHER.id).where(col(OTHER.task) != "c"))), [2]),
    "a subquery": (select(func.count()).select_from(IDS.subquery()), [2]),
    "a scalar subquery": (select(select(func.min(TodoItem.id)).scalar_subquery()), [2]),
    "a common table expression": (select(IDS.cte().c.id), [2, 3]),
    "an EXISTS": (IDS.where(exists().where(col(OTHER.id) == 1)), []),
    "an EXISTS around": (select(literal(1)).where(exists(IDS.where(col(TodoItem.id) == 1))), []),
    "a union": (union(IDS.where(col(TodoItem.id) < 3), IDS), [2, 3]),
    "a window": (select(func.count().over()).select_from(TodoItem), [2, 2]),
    "a lock": (IDS.with_for_update(), [2, 3]),
    "tokens": (select(AccessToken.id), []),
}


@pytest.mark.parametrize(("statement", "rows"), SELECTS.values(), ids=SELECTS.keys())
def test_every_form_of_a_select_finds_the_rows_of_the_owner(
    shared_url: str, statement: Executable, rows: list[object]
) -> None:
    for _ in range(2):  # the second time as it was compiled the first
        assert sorted(found(shared_url, "bob", statement), key=str) == sorted(rows, key=str)
    assert 2 not in found(shared_url, "alice", statement) or statement is SELECTS["a count"][0]


TODOS: Any = TodoItem.__table__
REFUSED: dict[str, Executable] = {
    "text": text("SELECT id FROM todo_items"),
    "rows out of text": select(TodoItem).from_statement(text("SELECT * FROM todo_items")),
    "text as a condition": IDS.where(text("1 = 1")),
    "a table": select(TODOS),
    "a count of a table": select(func.count()).select_from(TODOS),
    "a column of a table": IDS.add_columns(TODOS.c.task),
    "a table in a subquery": IDS.where(col(TodoItem.id).in_(select(TODOS.c.id))),
    "an alias of a table": IDS.where(col(TodoItem.id).in_(select(TODOS.alias().c.id))),
    "a count in a subquery": select(TodoItem.id, select(func.count()).select_from(TODOS).scalar_subquery()),
    "a table in an EXISTS": IDS.where(exists().where(TODOS.c.id == 1)),
    "an insert": insert(TodoItem).values(task="x", owner="alice"),
    "an insert of a table": insert(TODOS).values(task="x", owner="alice"),
    "an update of a table": update(TODOS).values(task="x"),
    "a delete of a table": delete(TODOS),
    "an update after a look at a table": update(TodoItem).where(exists().where(TODOS.c.id == 1)).values(task="x"),
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_a_statement_that_cannot_be_filtered_is_refused(shared_url: str, statement: Executable) -> None:
    with pytest.raises(NotIsolatedError):
        found(shared_url, "bob", statement)


def test_updates_and_deletes_by_class_touch_the_rows_of_the_owner(shared_url: str) -> None:
    for owner in ("bob", "alice"):

        async def work(session: Session, owner: str = owner) -> None:
            await session.exec(update(TodoItem).values(task=f"changed by {owner}"))
            await session.exec(delete(TodoItem).where(col(TodoItem.id) == 2))
            await session.commit()

        on_a_session(shared_url, owner, work)

    everything = select(TodoItem.id, TodoItem.owner, TodoItem.task).order_by(col(TodoItem.id))
    assert fetched(shared_url, ALL_OWNERS, everything) == [
        (1, "alice", "changed by alice"),
        (3, "bob", "changed by bob"),
    ]


def test_rows_are_got_changed_and_deleted_by_their_owner_alone(shared_url: str) -> None:
    async def get(session: Session) -> TodoItem | None:
        return await session.get(TodoItem, 1)

    alices = on_a_session(shared_url, "alice", get)
    assert alices.task == "a"
    assert on_a_session(shared_url, "bob", get) is None

    async def change(session: Session) -> None:
        alices.task = "taken"
        session.add(alices)

    async def remove(session: Session) -> None:
        await session.delete(alices)

    for work in (change, remove):
        with pytest.raises(NotIsolatedError, match="belongs to somebody else"):
            on_a_session(shared_url, "bob", work)
    assert found(shared_url, "alice", select(TodoItem.task)) == ["a"]


def test_a_session_without_an_owner_refuses_to_run(shared_url: str) -> None:
    with pytest.raises(NotIsolatedError, match="no owner"):
        found(shared_url, "", select(TodoItem))


def test_a_session_keeps_nothing_of_another_owner(shared_url: str) -> None:
    async def add_for_alice(session: Session) -> None:
        session.add(TodoItem(task="x", position=1, owner="alice"))
        await session.commit()

    async def give_to_alice(session: Session) -> None:
        todo = await session.get(TodoItem, 2)
        assert todo is not None
        todo.owner = "alice"
        await session.commit()

    for work in (add_for_alice, give_to_alice):
        with pytest.raises(
            NotIsolatedError, match="belongs to somebody else" if work is add_for_alice else "stays its owner"
        ):
            on_a_session(shared_url, "bob", work)
    assert len(found(shared_url, ALL_OWNERS, select(TodoItem))) == 3


BYPASSES = {"_execute", "_transaction", "begin", "number", "reader", "writer", "engine", "__table__", "owner"}
"""Attributes that lead around the session, or say whose rows are whose."""


def test_no_route_goes_around_the_session() -> None:
    package = ROOT / "todo_api"
    read = [*(package / "routes").glob("*.py"), *(package / "queries").glob("[lqb]*.py")]
    assert len(read) > 3
    for path in read:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        imported = {name.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names}

        assert not attributes & BYPASSES, path
        assert not {name for name in attributes if name.startswith("bulk_")}, path
        assert not imported & {"text", "insert", "sqlalchemy", "sqlmodel", "ALL_OWNERS", "OWNER", "CALLER"}, path


def test_the_session_the_command_line_the_search_for_a_token_and_the_purges_alone_know_all_owners() -> None:
    knowing = {path.name for path in (ROOT / "todo_api").rglob("*.py") if "ALL_OWNERS" in path.read_text()}

    session = {"owners.py", "session.py", "writes.py"}
    assert knowing == session | {"commands.py", "tokens.py", "idempotency.py", "purge.py"}
