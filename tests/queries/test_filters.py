"""Filters: what of the list is asked for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from todo_api.queries import due


def fill(client: TestClient, *todos: dict[str, Any]) -> None:
    for todo in todos:
        assert client.post("/todos", json={"task": "x"} | todo).status_code == 201


def ids(client: TestClient, query: str) -> list[int]:
    """The ids on all pages, which are the same for pages of every size."""
    found = []
    for limit in (1, 2, 500):
        pages = []
        address = f"/todos?{query}&limit={limit}"
        while True:
            answer = client.get(address)
            assert answer.status_code == 200, answer.text
            pages += [todo["id"] for todo in answer.json()]
            if "link" not in answer.headers:
                break
            address = answer.headers["link"].split(">")[0].removeprefix("<")
        found.append(pages)
    assert found[0] == found[1] == found[2]
    return found[0]


def test_todos_are_filtered_by_priority(client: TestClient) -> None:
    fill(client, *({"priority": priority} for priority in (5, 0, 9, 1, 5)))

    assert ids(client, "priority=5") == [1, 5]
    assert ids(client, "priority_min=1&priority_max=5") == [4, 1, 5]
    assert ids(client, "priority_min=6") == [3]
    assert ids(client, "priority_max=0") == [2]
    assert ids(client, "priority_max=5&sort=-id") == [5, 4, 2, 1]


def test_todos_are_filtered_by_all_of_the_tags(client: TestClient) -> None:
    fill(client, {"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": ["c", "b", "a"]}, {}, {"tags": ["A", "a,b"]})

    assert ids(client, "tag=b") == [1, 2, 3]
    assert ids(client, "tag=a&tag=b") == [1, 3]
    assert ids(client, "tag=b&tag=b") == [1, 2, 3]
    assert ids(client, "tag=a,b") == [5]
    assert ids(client, "tag=A") == [5]
    assert ids(client, "tag=nothing") == []
    assert ids(client, "tag=b&sort=-id") == [3, 2, 1]
    assert ids(client, "tag=b&complete=false&q=x") == [1, 2, 3]


def test_tags_that_change_are_found_as_they_are(client: TestClient) -> None:
    fill(client, {"tags": ["a"]}, {"tags": ["a"]})
    client.patch("/todos/1", json={"tags": ["b", "c"]})
    client.delete("/todos/2")

    assert ids(client, "tag=a") == []
    assert ids(client, "tag=c&tag=b") == [1]


def test_words_are_found_in_the_notes_too(client: TestClient) -> None:
    fill(client, {"task": "Shopping", "notes": "oat milk\nSUGAR"}, {"task": "milk the cow"}, {"notes": "nothing"})

    assert ids(client, "q=milk") == [1, 2]
    assert ids(client, "q=sugar%20shop") == [1]
    assert ids(client, "q=ow") == [2]
    assert ids(client, "q=milk%20ow") == [2]
    assert ids(client, "q=milksugar") == []
    assert ids(client, "q=MILK&sort=-task") == [2, 1]
    client.patch("/todos/2", json={"task": "feed the cow"})
    client.delete("/todos/1")
    assert ids(client, "q=milk") == []
    assert ids(client, "q=feed") == [2]


@pytest.mark.parametrize(
    "written",
    [
        "2026-12-24T18:00:00Z",
        "2026-12-24 18:00:00Z",
        "2026-12-24 18:00:00 UTC",
        "2026-12-24 18:00:00.000000 UTC",
        "2026-12-24 19:00:00 +0100",
        "2026-12-24T19:00:00+01:00",
        "2026-12-24 13:00:00-05:00",
    ],
)
@pytest.mark.parametrize("encode", [quote, lambda text: text.replace(" ", "%20"), lambda text: text.replace(" ", "+")])
def test_an_instant_in_a_query_may_be_written_as_other_languages_print_it(
    client: TestClient, written: str, encode: Callable[[str], str]
) -> None:
    client.post("/todos", json={"task": "a", "due_at": "2026-12-24T17:59:59.999Z"})
    client.post("/todos", json={"task": "b", "due_at": "2026-12-24T18:00:00.001Z"})

    assert ids(client, f"due_before={encode(written)}") == [1]
    assert ids(client, f"due_after={encode(written)}") == [2]
    assert ids(client, f"created_after={encode(written)}") == ids(client, "created_after=2026-12-24T18:00:00Z")


@pytest.mark.parametrize(
    "word", ['"', '""', '"a" OR "b"', "a*", "NOT", "(", "^task", "task:milk", "-milk", "+", "'", "{x}"]
)
def test_the_signs_of_a_search_language_are_looked_for_as_they_are(client: TestClient, word: str) -> None:
    fill(client, {"task": f"before {word} behind"}, {"task": "milk a b task"})

    found = [todo["id"] for todo in client.get("/todos", params={"q": f"bef {word}"}).json()]
    assert found == [1]


DUE = [
    {"due_on": "2026-12-23"},
    {"due_at": "2026-12-23T23:30:00Z"},
    {"due_on": "2026-12-24"},
    {"due_at": "2026-12-24T00:00:00Z"},
    {"due_at": "2026-12-24T23:30:00Z"},
    {"due_on": "2026-12-25"},
    {},
    {"due_at": "2026-12-25T00:00:00Z"},
]
"""The todos 1 to 8."""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("due_before=2026-12-24", [1, 2]),
        ("due_before=2026-12-24&tz=Europe/Paris", [1]),
        ("due_before=2026-12-24&tz=America/New_York", [1, 2, 4]),
        ("due_after=2026-12-24", [6, 8]),
        ("due_after=2026-12-24&tz=Europe/Paris", [5, 6, 8]),
        ("due_after=2026-12-24&tz=America/New_York", [6]),
        ("due_before=2026-12-24T00:00:00Z", [1, 2]),
        ("due_before=2026-12-24T00:00:00.000001Z", [1, 2, 4]),
        ("due_before=2026-12-24T00:00:00%2B01:00", []),
        ("due_before=2026-12-24T00:00:00%2B01:00&tz=Europe/Paris", [1]),
        ("due_before=2026-12-24T00:00:00+01:00&tz=Europe/Paris", [1]),
        ("due_before=2026-12-24T23:30:00Z&tz=Europe/Paris", [1, 2, 3, 4]),
        ("due_after=2026-12-24T00:00:00Z", [5, 6, 8]),
        ("due_after=2026-12-23T23:00:00Z", [2, 3, 4, 5, 6, 8]),
        ("due_after=2026-12-23T23:00:00Z&tz=Europe/Paris", [2, 4, 5, 6, 8]),
        ("due_after=2026-12-24T04:30:00Z&tz=America/New_York", [3, 5, 6, 8]),
        ("due_after=2026-12-23&due_before=2026-12-25", [3, 4, 5]),
        ("due_after=2026-12-23&due_before=2026-12-25&sort=-id", [5, 4, 3]),
        ("has_due=true", [1, 2, 3, 4, 5, 6, 8]),
        ("has_due=true&sort=-due", [8, 6, 5, 4, 3, 2, 1]),
        ("has_due=false", [7]),
        ("sort=due", [1, 2, 3, 4, 5, 6, 8, 7]),
        ("sort=-due", [8, 6, 5, 4, 3, 2, 1, 7]),
        ("due_before=0001-01-01", []),
        ("due_before=0001-01-01&tz=Asia/Tokyo", []),
        ("due_after=9999-12-31&tz=America/New_York", []),
        ("due_after=0001-01-01", [1, 2, 3, 4, 5, 6, 8]),
        ("due_before=9999-12-31", [1, 2, 3, 4, 5, 6, 8]),
    ],
)
def test_todos_are_filtered_by_when_they_are_due(client: TestClient, query: str, found: list[int]) -> None:
    fill(client, *DUE)

    assert ids(client, query) == found


def test_the_first_and_the_last_day_of_the_calendar_are_days_like_others(client: TestClient) -> None:
    fill(
        client,
        {"due_on": "9999-12-31"},
        {"due_on": "0001-01-01"},
        {"due_at": "9999-12-31T12:00:00Z"},
        {"due_on": "9999-12-31"},
        {"due_on": "0001-01-01"},
        {},
        {"due_at": "0001-01-01T12:00:00Z"},
    )

    assert ids(client, "sort=due") == [2, 5, 7, 1, 4, 3, 6]
    assert ids(client, "sort=-due") == [3, 4, 1, 7, 5, 2, 6]
    assert ids(client, "sort=due_on") == [2, 5, 1, 4, 3, 6, 7]
    assert ids(client, "due_after=9999-12-30") == [1, 4, 3]
    assert ids(client, "due_before=0001-01-02") == [2, 5, 7]
    assert ids(client, "due_before=9999-12-31&due_after=0001-01-01") == []
    assert client.get("/todos/1").json()["due_on"] == "9999-12-31"
    assert client.get("/todos/2").json()["due_on"] == "0001-01-01"


@pytest.mark.parametrize(
    ("zone", "day", "last", "following", "first"),
    [
        ("America/Santiago", "2026-04-04", "2026-04-05T03:30:00Z", "2026-04-05", "2026-04-05T04:00:00Z"),
        ("America/Nuuk", "2027-03-27", "2027-03-28T00:59:59Z", "2027-03-28", "2027-03-28T01:00:00Z"),
    ],
    ids=["the last hour of the day comes twice", "the day has no last hour"],
)
def test_a_day_ends_where_the_next_one_begins(
    client: TestClient, zone: str, day: str, last: str, following: str, first: str
) -> None:
    fill(client, {"due_at": last}, {"due_at": first})

    assert ids(client, f"due_before={following}&tz={zone}") == [1]
    assert ids(client, f"due_after={day}&tz={zone}") == [2]


def test_todos_are_overdue_once_their_instant_or_their_day_is_over(client: TestClient) -> None:
    now = datetime.now(UTC)
    today = (now + timedelta(hours=13)).date(), (now - timedelta(hours=12)).date()
    fill(
        client,
        {"due_at": (now - timedelta(seconds=1)).isoformat()},
        {"due_at": (now + timedelta(hours=1)).isoformat()},
        {"due_at": (now - timedelta(days=9)).isoformat(), "complete": True},
        {"due_on": str(now.date() - timedelta(days=3))},
        {"due_on": str(now.date() + timedelta(days=3))},
        {"due_on": str(now.date() - timedelta(days=3)), "complete": True},
        {},
        {"due_on": str(today[0])},
        {"due_on": str(today[1])},
    )

    # In the zone 13 hours ahead it is the day of todo 8, in the one 12 hours behind that of todo 9.
    ahead = ids(client, "overdue=true&tz=Etc/GMT-13")
    behind = ids(client, "overdue=true&tz=Etc/GMT%2B12")
    assert set(behind) == {1, 4}
    assert set(ahead) == {1, 4, 9}
    for overdue, zone in ((ahead, "Etc/GMT-13"), (behind, "Etc/GMT%2B12")):
        assert sorted([*overdue, *ids(client, f"overdue=false&tz={zone}")]) == list(range(1, 10))


@pytest.mark.parametrize("now", ["2026-12-24T00:00:00+00:00", "2026-12-24T23:59:59.999999+00:00"])
def test_without_a_zone_a_day_is_over_at_midnight_in_utc(
    client: TestClient, now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "utc_now", lambda: datetime.fromisoformat(now))
    fill(client, {"due_on": "2026-12-23"}, {"due_on": "2026-12-24"}, {"due_on": "2026-12-25"})

    assert ids(client, "overdue=true") == [1]
    assert ids(client, "overdue=false") == [2, 3]


def test_what_is_overdue_comes_in_the_order_in_which_it_was_due(client: TestClient) -> None:
    fill(
        client,
        {"due_on": "2001-01-03"},
        {"due_at": "2001-01-02T12:00:00Z"},
        {"due_at": "2001-01-03T12:00:00Z"},
        {"due_on": "2001-01-02"},
        {"due_on": "2001-01-03"},
    )

    assert ids(client, "overdue=true") == [4, 2, 1, 5, 3]
    assert ids(client, "overdue=true&sort=id") == [1, 2, 3, 4, 5]


def test_todos_are_filtered_by_their_time_stamps(client: TestClient) -> None:
    fill(client, {}, {"complete": True}, {})
    first, second, third = client.get("/todos").json()
    client.patch("/todos/1", json={"complete": True})
    completed = client.get("/todos/1").json()["completed_at"]

    assert ids(client, f"created_after={first['created_at']}") == [2, 3]
    assert ids(client, f"created_after={third['created_at']}") == []
    assert ids(client, f"updated_after={second['updated_at']}") == [3, 1]
    assert ids(client, f"updated_after={second['updated_at']}&sort=-updated_at") == [1, 3]
    assert ids(client, f"completed_after={second['completed_at']}") == [1]
    assert ids(client, f"completed_before={completed}") == [2]
    assert ids(client, "completed_after=2020-01-01T00:00:00%2B02:00") == [2, 1]


def test_null_comes_last_in_both_directions(client: TestClient) -> None:
    fill(
        client,
        {"notes": "b", "due_on": "2026-12-24"},
        {"due_at": "2026-12-24T18:00:00Z", "complete": True},
        {"notes": "a", "due_on": "2026-12-23", "complete": True},
        {},
    )

    assert ids(client, "sort=notes") == [3, 1, 2, 4]
    assert ids(client, "sort=-notes") == [1, 3, 4, 2]
    assert ids(client, "sort=due_on") == [3, 1, 2, 4]
    assert ids(client, "sort=-due_on,id") == [1, 3, 2, 4]
    assert ids(client, "sort=due_at") == [2, 1, 3, 4]
    assert ids(client, "sort=completed_at") == [2, 3, 1, 4]
    assert ids(client, "sort=-completed_at") == [3, 2, 4, 1]
    assert ids(client, "sort=complete,-notes,id") == [1, 4, 3, 2]
    assert ids(client, "sort=complete,notes,-id") == [1, 4, 3, 2]


def test_every_member_that_is_no_list_can_be_sorted_by_in_both_directions(client: TestClient) -> None:
    for number in range(8):
        client.post("/todos", json={"task": f"t{number % 3}", "priority": number % 4, "complete": number % 2 == 0})
    members = client.get("/openapi.json").json()["components"]["schemas"]["TodoItem"]["properties"]

    for member in members.keys() - {"tags"}:
        assert sorted(ids(client, f"sort={member}")) == list(range(1, 9))
        if "null" not in str(members[member].get("anyOf")):
            assert ids(client, f"sort=-{member}") == ids(client, f"sort={member}")[::-1]


BAD_FILTERS = {
    "due_before=tomorrow": "due_before",
    "due_before=2026-02-30": "due_before",
    "due_before=2026-12-24T25:00:00Z": "due_before",
    "due_before=2026-12-24T18:00:00": "due_before",
    "due_after=0.5": "due_after",
    "due_after=1700000000": "due_after",
    "created_after=0.5": "created_after",
    "created_after=2026-12-24": "created_after",
    "updated_after=": "updated_after",
    "completed_before=9999-12-31T23:59:59-01:00": "completed_before",
    "overdue=yes": "overdue",
    "has_due=2": "has_due",
    "tz=localtime": "tz",
    "tz=Factory": "tz",
    "tz=Mars/Olympus": "tz",
    "tz=../../etc/passwd": "tz",
    "tz=America": "tz",
    "tz=": "tz",
    "priority=10": "priority",
    "priority=-1": "priority",
    "priority_min=1.0": "priority_min",
    "priority_max=abc": "priority_max",
    "tag=": "tag",
    "tag=a%0Ab": "tag",
    "&".join(f"tag={number}" for number in range(33)): "tag",
    "due_before=2026-12-24&due_before=2026-12-25": "due_before",
    "tags=a": "tags",
}


@pytest.mark.parametrize(("query", "pointer"), BAD_FILTERS.items())
def test_a_bad_filter_is_refused_by_its_name(client: TestClient, query: str, pointer: str) -> None:
    answer = client.get(f"/todos?{query}")

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+01:00"]
)
def test_an_instant_that_is_too_early_or_too_late_is_told_what_is_between(client: TestClient, instant: str) -> None:
    answers = [client.post("/todos", json={"task": "x", "due_at": instant})]
    answers += [client.get("/todos", params={name: instant}) for name in ("due_before", "due_after", "created_after")]

    for answer in answers:
        (error,) = answer.json()["errors"]
        assert error["detail"] == "must be after 0001-01-01T00:00:00Z and before 9999-12-31T23:59:59.999999Z"


def test_a_count_counts_what_every_kind_of_filter_leaves(client: TestClient) -> None:
    fill(client, *DUE, {"tags": ["a"], "task": "milk"}, {"tags": ["a"], "complete": True})
    for query, count in (
        ("tag=a", 2),
        ("q=milk", 1),
        ("has_due=true", 7),
        ("tag=a&complete=true", 1),
        ("tag=a&q=milk", 1),
    ):
        answer = client.get(f"/todos?{query}&count=true&limit=1")

        assert answer.headers["x-total-count"] == str(count)
