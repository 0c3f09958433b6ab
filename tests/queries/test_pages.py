"""Lists by every order and all kinds of filters at once: what they hold, however the rows of a page are found."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from operator import eq, ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process, sort_members
from tests.databases import Backend
from todo_api.queries import due, pages

Todo = dict[str, Any]
Query = dict[str, Any]
Check = Callable[[Todo, Any, tzinfo], bool]
"""Whether a todo matches a filter with this value, its days counted in this zone."""
NOW = datetime.now(UTC)
WORDS = ("Milk", "bread", "PRESENTS", "öl")
TAGS = ("a", "b", "c")
SCALARS = (
    *("id", "task", "complete", "notes", "due_on", "due_at", "due", "priority", "list_id", "parent_id", "position"),
    *("created_at", "updated_at", "completed_at", "version"),
)


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
        for number in range(2):
            list_id = client.post("/lists", json={"name": f"List {number}"}).json()["id"]
            assert client.patch(f"/todos?priority={5 * number}", json={"list_id": list_id}).status_code == 200
        for _ in range(60):
            ids = [todo["id"] for todo in dice.sample(client.get("/todos?limit=500").json(), 2)]
            client.patch(f"/todos/{ids[0]}", json={"parent_id": ids[1]})  # 422 where it would be a cycle
        yield client, client.get("/todos?limit=500").json()


def span(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """When a day begins and ends in a zone; an instant lasts a microsecond."""
    if "T" in text:
        begin = datetime.fromisoformat(text)
        return begin, begin + timedelta(microseconds=1)
    begin = datetime.combine(date.fromisoformat(text), time.min, zone)
    return begin, begin + timedelta(days=1)


def value(todo: Todo, name: str) -> Any:
    """What a list is sorted by."""
    found = todo["due_at"] or todo["due_on"] if name == "due" else todo[name]
    if found and (name == "due" or name.endswith("_at")):
        return span(found, UTC)[0]
    return found[:500] if isinstance(found, str) else found


def compared(name: str, compare: Callable[[Any, Any], bool]) -> Check:
    return lambda todo, bound, _: compare(todo[name], bound)


def dated(name: str, compare: Callable[[Any, Any], bool]) -> Check:
    def check(todo: Todo, bound: str, zone: tzinfo) -> bool:
        return bool(todo[name]) and compare(span(todo[name], zone), span(bound, zone))

    return check


def is_due_before(todo: Todo, bound: str, zone: tzinfo) -> bool:
    text = todo["due_at"] or todo["due_on"]
    return bool(text) and span(text, zone)[1] <= span(bound, zone)[0]


def is_due_after(todo: Todo, bound: str, zone: tzinfo) -> bool:
    text = todo["due_at"] or todo["due_on"]
    return bool(text) and span(text, zone)[0] >= span(bound, zone)[1]


CHECKS: dict[str, Check] = {
    "ids": lambda todo, wanted, _: todo["id"] in wanted,
    "q": lambda todo, words, _: all(
        word in f"{todo['task']}\n{todo['notes'] or ''}".lower() for word in words.lower().split()
    ),
    "complete": lambda todo, wanted, _: todo["complete"] is (wanted == "true"),
    "due_before": is_due_before,
    "due_after": is_due_after,
    "overdue": lambda todo, wanted, zone: (
        (not todo["complete"] and is_due_before(todo, NOW.isoformat(), zone)) is (wanted == "true")
    ),
    "has_due": lambda todo, wanted, _: bool(todo["due_on"] or todo["due_at"]) is (wanted == "true"),
    "tz": lambda *_: True,
    "priority": compared("priority", eq),
    "priority_min": compared("priority", ge),
    "priority_max": compared("priority", le),
    "tag": lambda todo, tags, _: set(tags) <= set(todo["tags"]),
    "list_id": compared("list_id", eq),
    "has_list": lambda todo, wanted, _: (todo["list_id"] is not None) is (wanted == "true"),
    "parent_id": compared("parent_id", eq),
    "has_parent": lambda todo, wanted, _: (todo["parent_id"] is not None) is (wanted == "true"),
    "created_after": dated("created_at", gt),
    "updated_after": dated("updated_at", gt),
    "completed_after": dated("completed_at", gt),
    "completed_before": dated("completed_at", lt),
}
TODAY, TOMORROW = NOW.date().isoformat(), (NOW.date() + timedelta(days=1)).isoformat()
VALUES: dict[str, tuple[Any, ...]] = {
    "ids": ([2, 70, 71, 72, 9999],),
    "q": ("milk", "milk bread", "ILK", "mi", "presents öl", "bread and", "nothing", "milk mi"),
    "complete": ("true", "false"),
    "due_before": (TODAY, TOMORROW, NOW.isoformat()),
    "due_after": (TODAY, TOMORROW, NOW.isoformat()),
    "overdue": ("true", "false"),
    "has_due": ("true", "false"),
    "priority": (0, 5, 7),
    "priority_min": (0, 5),
    "priority_max": (0, 5),
    "tag": (["a"], ["a", "b"], ["a", "b", "c"], ["none"]),
    "list_id": (1, 2, 9),
    "has_list": ("true", "false"),
    "parent_id": (12, 84, 85, 90, 9999),
    "has_parent": ("true", "false"),
}
STAMPS = {
    "created_after": "created_at",
    "updated_after": "updated_at",
    "completed_after": "completed_at",
    "completed_before": "completed_at",
}
"""The filters whose values are those of some todo."""
ZONES = ("Asia/Tokyo", "America/New_York", "Etc/GMT+12", "UTC")
RANGES = {
    **dict.fromkeys(("due_before", "due_after", "overdue", "has_due"), "due"),
    **dict.fromkeys(("priority_min", "priority_max"), "priority"),
    "has_list": "list_id",
    "has_parent": "parent_id",
    **STAMPS,
}
"""The filters that a list is in the order of, each with its member; the first one counts."""


def some_query(dice: random.Random, todos: list[Todo]) -> Query:
    names = dice.sample([*VALUES, *STAMPS], dice.choice((0, 0, 1, 1, 2, 3)))
    query: Query = {name: dice.choice(VALUES[name]) for name in names if name in VALUES}
    for name in names:
        if name in STAMPS:
            query[name] = dice.choice([todo[STAMPS[name]] for todo in todos if todo[STAMPS[name]]])
    if dice.random() < 0.5:
        query["tz"] = dice.choice(ZONES)
    if dice.random() < 0.7:
        members = dice.sample(SCALARS, dice.choice((1, 1, 2, 3)))
        query["sort"] = ",".join(dice.choice(("", "-")) + member for member in members)
    return query


def expected(todos: list[Todo], query: Query) -> list[int]:
    """The ids of what a list must hold, in its order."""
    zone = ZoneInfo(query.get("tz", "UTC"))
    found = [todo for todo in todos if all(CHECKS[name](todo, query[name], zone) for name in query if name != "sort")]
    implied = [member for name, member in RANGES.items() if query.get(name, "false") != "false"]
    terms = query.get("sort", [*implied, "id"][0]).split(",")
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
        answer = client.get(answer.links["next"]["url"])
        found += answer.json()
    return [todo["id"] for todo in found]


LOOKS = (pages.LOOKS, ((2, 3), (5, 9)), ((20, 1), (40, 40)), ((0, 30), (1, 60)))


def compare(client: TestClient, todos: list[Todo], seed: str, count: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # the same queries each time, no secret
    for _ in range(count):
        query = some_query(dice, todos)
        limit = dice.choice((1, 4)) if len(query.keys() - {"tz"}) > 2 else dice.choice((20, 50, 500))
        assert read(client, query, limit) == expected(todos, query), query


def test_every_filter_and_every_order_is_among_those_that_are_compared(
    listed: tuple[TestClient, list[Todo]],
) -> None:
    client, _ = listed
    document = client.get("/openapi.json").json()
    parameters = {each["name"] for each in document["paths"]["/todos"]["get"]["parameters"]}

    assert CHECKS.keys() == parameters - {"limit", "cursor", "sort", "count"}
    assert CHECKS.keys() == {*VALUES, *STAMPS, "tz"}
    assert set(SCALARS) == set(sort_members(document))


@pytest.mark.parametrize("looks", LOOKS)
def test_every_list_holds_what_it_must_in_its_order(
    listed: tuple[TestClient, list[Todo]], looks: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", looks)
    monkeypatch.setattr(due, "utc_now", lambda: NOW)
    compare(*listed, seed=str(looks), count=25)


@pytest.mark.slow
@pytest.mark.parametrize("looks", LOOKS)
def test_a_thousand_lists_hold_what_they_must_in_their_order(
    listed: tuple[TestClient, list[Todo]], looks: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKS", looks)
    monkeypatch.setattr(due, "utc_now", lambda: NOW)
    compare(*listed, seed=f"more of {looks}", count=125)
