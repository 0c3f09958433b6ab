"""Lists by every order and all kinds of filters at once: what they hold, however the rows of a page are found."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process
from tests.databases import Backend
from todo_api import pages

Todo = dict[str, Any]
Query = dict[str, Any]
NOW = datetime.now(UTC)
WORDS = ("Milk", "bread", "PRESENTS", "öl")
TAGS = ("a", "b", "c")
SCALARS = (
    *("id", "task", "complete", "notes", "due_on", "due_at", "due", "priority", "position"),
    *("created_at", "updated_at", "completed_at", "version"),
)
SINCE = "2026-06-01T00:00:00+00:00"


def some_todos(dice: random.Random, count: int) -> list[Todo]:
    """Todos that have much in common, and each of them nothing now and then."""
    return [
        {
            "task": " ".join(["todo", *(word for word in WORDS if dice.random() < 0.3)]),
            "notes": dice.choice((None, None, "bread\nand milk", "x" * 600 + dice.choice("ab"))),
            "complete": dice.random() < 0.5,
            **dice.choice(
                (
                    {},
                    {"due_on": str(NOW.date() + timedelta(days=dice.randrange(-3, 4)))},
                    {"due_at": (NOW + timedelta(hours=dice.randrange(-60, 60))).isoformat()},
                )
            ),
            "priority": dice.choice((0, 0, 0, 1, 5, 9)),
            "tags": [tag for tag in TAGS if dice.random() < 0.4],
            "position": dice.choice((1, 2, dice.randrange(100))),
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def listed(request: pytest.FixtureRequest) -> Iterator[tuple[TestClient, list[Todo]]]:
    """A client whose owner has 150 todos between those of another, and these todos."""
    backend: Backend = request.getfixturevalue(f"{request.param}_backend")
    url = backend.migrated()
    dice = random.Random(2)  # noqa: S311  # the same todos each time, no secret
    with in_process(database_url=url, auth="token") as client:
        alice, bob = as_owner(url, "alice"), as_owner(url, "bob")
        for count in (10, 1, 60, 9, 70):
            for caller in (bob, alice):
                assert client.post("/todos/bulk", json=some_todos(dice, count), headers=caller).status_code == 201
        assert client.patch("/todos?priority=1", json={"notes": "changed"}, headers=alice).status_code == 200
        client.headers = alice
        yield client, client.get("/todos?limit=500").json()


def due(todo: Todo) -> datetime | None:
    if todo["due_at"]:
        return datetime.fromisoformat(todo["due_at"])
    return datetime.fromisoformat(todo["due_on"]).replace(tzinfo=UTC) if todo["due_on"] else None


def value(todo: Todo, name: str) -> Any:
    """What a list is sorted by."""
    found = due(todo) if name == "due" else todo[name]
    return found[:500] if isinstance(found, str) else found


def before_today(todo: Todo) -> bool:
    today = NOW.date().isoformat()
    if todo["due_on"]:
        return bool(todo["due_on"] < today)
    return bool(todo["due_at"] and todo["due_at"] < today)


CHECKS: dict[str, Callable[[Todo, Any], bool]] = {
    "q": lambda todo, words: all(
        word in f"{todo['task']}\n{todo['notes'] or ''}".lower() for word in words.lower().split()
    ),
    "tag": lambda todo, tags: set(tags) <= set(todo["tags"]),
    "complete": lambda todo, wanted: bool(todo["complete"] is (wanted == "true")),
    "priority": lambda todo, wanted: bool(todo["priority"] == wanted),
    "priority_min": lambda todo, least: bool(todo["priority"] >= least),
    "has_due": lambda todo, wanted: (due(todo) is not None) is (wanted == "true"),
    "due_before": lambda todo, _: before_today(todo),
    "completed_after": lambda todo, _: todo["completed_at"] is not None,
    "ids": lambda todo, wanted: todo["id"] in wanted,
}
VALUES: dict[str, tuple[Any, ...]] = {
    "q": ("milk", "milk bread", "ILK", "mi", "presents öl", "bread and", "nothing", "milk mi"),
    "tag": (["a"], ["a", "b"], ["a", "b", "c"], ["none"]),
    "complete": ("true", "false"),
    "priority": (0, 5, 7),
    "priority_min": (0, 5),
    "has_due": ("true", "false"),
    "due_before": (NOW.date().isoformat(),),
    "completed_after": ("2026-01-01T00:00:00Z",),
    "ids": ([2, 70, 71, 72, 9999],),
}
IMPLIED = {"priority_min": "priority", "due_before": "due", "has_due": "due", "completed_after": "completed_at"}


def some_query(dice: random.Random) -> Query:
    names = dice.sample(list(VALUES), dice.choice((0, 0, 1, 1, 2, 3)))
    query: Query = {name: dice.choice(VALUES[name]) for name in names}
    if dice.random() < 0.9 or any(name in IMPLIED for name in names):
        members = dice.sample(SCALARS, dice.choice((1, 1, 2, 3)))
        query["sort"] = ",".join(dice.choice(("", "-")) + member for member in members)
    return query


def expected(todos: list[Todo], query: Query) -> list[int]:
    """The ids of what a list must hold, in its order."""
    found = [todo for todo in todos if all(CHECKS[name](todo, query[name]) for name in query if name != "sort")]
    terms = query.get("sort", "id").split(",")
    terms.append("-id" if terms[-1].startswith("-") else "id")
    for term in reversed(terms):
        name = term.removeprefix("-")
        there = [todo for todo in found if value(todo, name) is not None]
        there.sort(key=lambda todo: value(todo, name), reverse=term.startswith("-"))
        found = there + [todo for todo in found if value(todo, name) is None]
    return [todo["id"] for todo in found]


def read(client: TestClient, query: Query, limit: int) -> list[int]:
    """The ids on all pages."""
    answer = client.get("/todos", params=query | {"limit": limit})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    while "next" in answer.links:
        assert len(answer.json()) == limit
        answer = client.get("/todos" + answer.links["next"]["url"])
        found += answer.json()
    return [todo["id"] for todo in found]


LOOKS = (pages.LOOKS, ((2, 3), (5, 9)), ((20, 1), (40, 40)), ((0, 30), (1, 60)))


def compare(client: TestClient, todos: list[Todo], seed: str, count: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # the same queries each time, no secret
    for _ in range(count):
        query = some_query(dice)
        limit = dice.choice((1, 4)) if len(query) > 2 else dice.choice((20, 50, 500))
        assert read(client, query, limit) == expected(todos, query), query


@pytest.mark.parametrize("looks", LOOKS)
def test_every_list_holds_what_it_must_in_its_order(
    listed: tuple[TestClient, list[Todo]], looks: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", looks)
    compare(*listed, seed=str(looks), count=25)


@pytest.mark.slow
@pytest.mark.parametrize("looks", LOOKS)
def test_a_thousand_lists_hold_what_they_must_in_their_order(
    listed: tuple[TestClient, list[Todo]], looks: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", looks)
    compare(*listed, seed=f"more of {looks}", count=125)
