"""Searches by several words, for which PostgreSQL looks first where a page begins."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process
from tests.database.test_migrations import execute
from tests.databases import PostgreSQL
from tests.queries.test_plans import Statements, statements
from todo_api.queries import pages
from todo_api.single_model.folding import fold

Todo = dict[str, Any]
Headers = dict[str, str]
BLOCK = 4096
WORDS = ("Milk", "bread", "PRESENTS", "öl", "50%", "a_b")


def scattered() -> Iterator[Todo]:
    """Todos with several words each, of two owners, and with gaps of all sizes between their ids."""
    dice = random.Random(1)  # noqa: S311  # the same todos each time, no secret
    row_id = 0
    for number in range(240):
        row_id += dice.choice((1, 1, 2, 5, BLOCK // 2, BLOCK, 3 * BLOCK))
        words = [word for word in WORDS if dice.random() < 0.7]
        cut = dice.randrange(len(words) + 1)
        yield {
            # The first and the last ones are Bob's alone.
            "owner": "alice" if 50 < number < 190 and number % 3 else "bob",
            "id": row_id,
            "task": " ".join([*words[:cut], f"todo {number}"]),
            "notes": " ".join(words[cut:]),
            "complete": dice.random() < 0.5,
        }


TODOS = list(scattered())


def found(owner: str, words: str, **members: Any) -> list[int]:
    """The ids of the todos that a search must find."""
    return [
        todo["id"]
        for todo in TODOS
        if todo["owner"] == owner
        and all(word in f"{fold(todo['task'])}\n{fold(todo['notes'])}" for word in fold(words).split())
        and todo.items() >= members.items()
    ]


@pytest.fixture
def searched(database_url: str) -> str:
    """The URL of a database with these todos."""
    rows = ", ".join(
        f"('{todo['owner']}', {todo['id']}, '{todo['task']}', '{todo['notes']}', {todo['complete']},"
        f" '{fold(todo['task'])}', '{fold(todo['notes'])}')"
        for todo in TODOS
    )
    members = "owner, id, task, notes, complete, task_folded, notes_folded"
    insert = f"INSERT INTO todo_items ({members}) VALUES {rows}"
    execute(database_url, insert)
    return database_url


def ids(client: TestClient, headers: Headers, **query: Any) -> list[int]:
    """The ids on all pages."""
    answer = client.get("/todos", params=query | {"limit": 7}, headers=headers)
    pages = answer.json()
    while "next" in answer.links:
        answer = client.get(answer.links["next"]["url"], headers=headers)
        pages += answer.json()
    return [todo["id"] for todo in pages]


def test_several_words_find_what_holds_them_all(searched: str) -> None:
    with in_process(database_url=searched, auth="token") as client:
        for owner in ("alice", "bob"):
            caller = as_owner(searched, owner)
            for words in ("milk bread", "ILK rea", "presents milk Bread", "milk ÖL", "öl 50%", "a_b milk", "milk none"):
                expected = found(owner, words)

                assert ids(client, caller, q=words) == expected
                assert ids(client, caller, q=words, sort="-id") == expected[::-1]
                assert ids(client, caller, q=words, sort="-position,id") == expected
                assert ids(client, caller, q=words, complete="true") == found(owner, words, complete=True)
                answer = client.get("/todos", params={"q": words, "count": "true", "limit": 1}, headers=caller)
                assert answer.headers["x-total-count"] == str(len(expected))


def test_several_words_change_all_that_hold_them(searched: str) -> None:
    with in_process(database_url=searched, auth="token") as client:
        alice, bob = as_owner(searched, "alice"), as_owner(searched, "bob")
        matched = len(found("alice", "milk bread"))
        patched = client.patch("/todos", params={"q": "milk bread"}, json={"priority": 9}, headers=alice)
        deleted = client.delete("/todos", params={"q": "bread milk"}, headers=alice)

        assert patched.json() == deleted.json() == {"matched": matched, "changed": matched}
        assert ids(client, alice, q="milk bread") == []
        assert ids(client, bob, q="milk bread") == found("bob", "milk bread")


@pytest.mark.parametrize("looks", [pages.LOOKS, ((0, 1), (0, 2))])
def test_upper_and_lower_case_are_the_same_in_every_order(
    client: TestClient, looks: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", looks)
    for task in ("ΦΩΣ", "Straße", "ÖL für Käse", "ЩИ", "strasse"):
        client.post("/todos", json={"task": task})

    for words, expected in (
        ("ΦΩΣ", [1]),
        ("φωσ", [1]),
        ("straße", [2, 5]),
        ("STRASSE", [2, 5]),
        ("öl KÄSE", [3]),
        ("щи", [4]),
    ):
        for sort in ("id", "position", "created_at,id"):
            assert ids(client, {}, q=words, sort=sort) == expected, (words, sort)


def selects(client: TestClient, query: str) -> Statements:
    """The statements that a list of the todos takes."""
    with statements() as found:
        assert client.get(f"/todos?{query}").status_code == 200
    return found


def explain(url: str, select: tuple[str, Any]) -> str:
    """How PostgreSQL goes about a statement if there is no other index than that of the words."""

    async def run() -> str:
        connection = await asyncpg.connect(url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(DROP_OTHER_INDEXES)
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = await connection.fetch(f"EXPLAIN (ANALYZE) {select[0]}", *select[1])
        await transaction.rollback()
        await connection.close()
        return "\n".join(row[0] for row in plan)

    return asyncio.run(run())


DROP_OTHER_INDEXES = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexname FROM pg_indexes WHERE tablename = 'todo_items'
    AND indexname NOT IN ('pk_todo_items', 'todo_items_words') LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
END $$"""

FEW_AMONG_MANY = """INSERT INTO todo_items (owner, id, task, task_folded, complete)
    SELECT CASE WHEN number BETWEEN 490 AND 509 THEN 'local' ELSE 'bob' END, number * 400, 'Buy milk and bread',
    'buy milk and bread', false
    FROM generate_series(1, 1000) number"""


@pytest.fixture
def remote(postgresql_backend: PostgreSQL) -> str:
    """A PostgreSQL database with 20 todos of the local owner's, in the middle of many ids of somebody else's."""
    url = postgresql_backend.migrated()
    execute(url, FEW_AMONG_MANY)
    return url


@pytest.mark.parametrize("sort", ["id", "-id"])
def test_several_words_are_looked_for_where_the_page_begins(remote: str, sort: str) -> None:
    with in_process(database_url=remote) as client:
        page = selects(client, f"q=milk+bread&limit=5&sort={sort}")
        whole = selects(client, f"q=milk+bread&limit=20&sort={sort}")

    assert len(page) == 1
    assert len(whole) == 3
    for select in (*page, *whole[:2]):
        condition = explain(remote, select).partition("Bitmap Index Scan on todo_items_words")[2]
        assert "(id >> 12)" in condition
        assert "%milk%" in condition
        assert "%bread%" in condition


def test_one_word_takes_one_look(remote: str) -> None:
    with in_process(database_url=remote) as client:
        assert len(selects(client, "q=milk")) == 1
        assert len(selects(client, "q=milk&sort=-id")) == 1


def test_without_the_index_no_row_is_looked_at_twice(remote: str) -> None:
    execute(remote, "DROP INDEX todo_items_words")
    with in_process(database_url=remote) as client:
        *near, rest = selects(client, "q=milk+bread&limit=5")
        assert [len(client.get(f"/todos?q=milk+bread&limit={limit}").json()) for limit in (5, 50)] == [5, 20]

    assert len(near) == 2
    for select in near:
        assert "never executed" in explain(remote, select)
    assert "never executed" not in explain(remote, rest)


def test_words_without_an_indexed_run_are_kept_from_the_index(remote: str) -> None:
    """PostgreSQL would read all of it."""
    with in_process(database_url=remote) as client:
        (short,) = selects(client, "q=mi+b-r")

    assert "todo_items_words" not in explain(remote, short)
