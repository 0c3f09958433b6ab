"""What a todo has beside its task."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.database.test_migrations import execute


def create(client: TestClient, **members: Any) -> dict[str, Any]:
    answer = client.post("/todos", json={"task": "Wrap the presents"} | members)
    assert answer.status_code == 201, answer.text
    todo: dict[str, Any] = answer.json()
    return todo


def instant(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_a_client_that_knows_the_task_alone_gets_the_defaults_of_the_rest(client: TestClient) -> None:
    before = datetime.now(UTC)
    todo = create(client)

    assert todo == todo | {
        "notes": None,
        "due_on": None,
        "due_at": None,
        "priority": 0,
        "tags": [],
        "completed_at": None,
    }
    assert before <= instant(todo["created_at"]) <= datetime.now(UTC)
    assert todo["updated_at"] == todo["created_at"]


def test_what_the_server_stamps_is_in_utc_and_to_the_microsecond(client: TestClient) -> None:
    created = [create(client), create(client, complete=True)]
    updated = client.put("/todos/1", json={"task": "Wrap them all"}).json()
    client.patch("/todos?complete=false", json={"complete": True})
    answers = [*created, updated, client.get("/todos/1").json(), *client.get("/todos").json()]

    stamps = [todo[name] for todo in answers for name in ("created_at", "updated_at", "completed_at") if todo[name]]
    # A whole second, one of a million, has no fraction.
    assert [stamp for stamp in stamps if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", stamp)] == []
    assert len({stamp[-4:-1] for stamp in stamps}) > 1


@pytest.mark.parametrize("escaped", [False, True], ids=["as they are", "escaped"])
@pytest.mark.parametrize("character", ["é", "😀"])
def test_the_longest_notes_are_taken_in_every_script_and_however_they_are_written(
    client: TestClient, character: str, escaped: bool
) -> None:
    notes = character * 16_384
    for method, path in (("POST", "/todos"), ("PUT", "/todos/1"), ("PATCH", "/todos/2")):
        create(client)
        body = json.dumps({"task": method, "notes": notes}, ensure_ascii=escaped).encode()
        answer = client.request(method, path, content=body, headers={"content-type": "application/json"})

        assert answer.status_code in (200, 201), answer.text
        assert answer.json()["notes"] == notes
        assert client.get(f"/todos/{answer.json()['id']}").json() == answer.json()


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({"notes": "one\ntwo\t😀\r\n"}, {"notes": "one\ntwo\t😀\r\n"}),
        ({"notes": "x" * 16_384}, {"notes": "x" * 16_384}),
        ({"notes": " \n "}, {"notes": None}),
        ({"notes": ""}, {"notes": None}),
        ({"due_on": "2026-12-24"}, {"due_on": "2026-12-24", "due_at": None}),
        ({"due_on": "2024-02-29"}, {"due_on": "2024-02-29"}),
        ({"due_on": "0001-01-01"}, {"due_on": "0001-01-01"}),
        ({"due_at": "2026-12-24T18:00:00Z"}, {"due_at": "2026-12-24T18:00:00Z", "due_on": None}),
        ({"due_at": "2026-12-24T18:00:00.123456+02:00"}, {"due_at": "2026-12-24T16:00:00.123456Z"}),
        ({"due_at": "2026-12-24t18:00:00z"}, {"due_at": "2026-12-24T18:00:00Z"}),
        ({"due_at": "9999-12-31T23:59:59.999998Z"}, {"due_at": "9999-12-31T23:59:59.999998Z"}),
        ({"due_on": "9999-12-31"}, {"due_on": "9999-12-31"}),
        ({"due_at": "0001-01-01T00:00:00-01:00"}, {"due_at": "0001-01-01T01:00:00Z"}),
        ({"due_at": "2026-12-24T18:00:00Z", "due_on": None}, {"due_at": "2026-12-24T18:00:00Z", "due_on": None}),
        ({"priority": 9}, {"priority": 9}),
        ({"tags": ["b", "a", " Ä b "]}, {"tags": ["b", "a", "Ä b"]}),
        ({"tags": [f"tag {number}" for number in range(32)]}, {"tags": [f"tag {number}" for number in range(32)]}),
        ({"tags": ["x" * 64]}, {"tags": ["x" * 64]}),
        ({"position": -(2**53 - 1)}, {"position": -(2**53 - 1)}),
        ({"position": 2**53 - 1}, {"position": 2**53 - 1}),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_a_member_is_kept_as_it_was_sent(client: TestClient, members: dict[str, Any], kept: dict[str, Any]) -> None:
    created = create(client, **members)
    updated = client.put(f"/todos/{create(client)['id']}", json=members).json()

    assert created == created | kept
    assert updated == updated | kept
    assert client.get("/todos").json() == [created, updated]


BAD_MEMBERS: dict[str, tuple[str, Any]] = {
    "long notes": ("/notes", {"notes": "x" * 16_385}),
    "NUL in notes": ("/notes", {"notes": "a\0b"}),
    "an escape in notes": ("/notes", {"notes": "a\x1b[31m"}),
    "notes as a list": ("/notes", {"notes": ["a"]}),
    "a day as a number": ("/due_on", {"due_on": 5}),
    "a day as digits": ("/due_on", {"due_on": "1700000000"}),
    "a day with a time": ("/due_on", {"due_on": "2026-12-24T00:00:00"}),
    "no such day": ("/due_on", {"due_on": "2026-02-30"}),
    "a week": ("/due_on", {"due_on": "2026-W52-4"}),
    "an instant as a number": ("/due_at", {"due_at": 1.5e9}),
    "an instant without a zone": ("/due_at", {"due_at": "2026-12-24T18:00:00"}),
    "an instant without seconds": ("/due_at", {"due_at": "2026-12-24T18:00Z"}),
    "an instant with a space": ("/due_at", {"due_at": "2026-12-24 18:00:00Z"}),
    "a day as an instant": ("/due_at", {"due_at": "2026-12-24"}),
    "no such hour": ("/due_at", {"due_at": "2026-12-24T25:00:00Z"}),
    "before the first year": ("/due_at", {"due_at": "0001-01-01T00:00:00+01:00"}),
    "the last instant of all": ("/due_at", {"due_at": "9999-12-31T23:59:59.999999Z"}),
    "after the last year": ("/due_at", {"due_at": "9999-12-31T23:59:59-01:00"}),
    "both a day and an instant": ("", {"due_on": "2026-12-24", "due_at": "2026-12-24T18:00:00Z"}),
    "a high priority": ("/priority", {"priority": 10}),
    "a negative priority": ("/priority", {"priority": -1}),
    "a broken priority": ("/priority", {"priority": 1.5}),
    "a null priority": ("/priority", {"priority": None}),
    "null for tags": ("/tags", {"tags": None}),
    "tags as text": ("/tags", {"tags": "a,b"}),
    "many tags": ("/tags", {"tags": [str(number) for number in range(33)]}),
    "a tag twice": ("/tags", {"tags": ["a", " a"]}),
    "an empty tag": ("/tags/1", {"tags": ["a", ""]}),
    "a long tag": ("/tags/0", {"tags": ["x" * 65]}),
    "a tag of two lines": ("/tags/0", {"tags": ["a\nb"]}),
    "a tag that is a number": ("/tags/0", {"tags": [1]}),
    "a null position": ("/position", {"position": None}),
    "a position beyond 2^53": ("/position", {"position": 2**53}),
    "created_at": ("/created_at", {"created_at": "2026-12-24T18:00:00Z"}),
    "updated_at": ("/updated_at", {"updated_at": "2026-12-24T18:00:00Z"}),
    "completed_at": ("/completed_at", {"completed_at": "2026-12-24T18:00:00Z"}),
    "a version": ("/version", {"version": 9}),
}


@pytest.mark.parametrize(("pointer", "members"), BAD_MEMBERS.values(), ids=BAD_MEMBERS.keys())
def test_a_bad_member_is_refused_by_its_name(client: TestClient, pointer: str, members: dict[str, Any]) -> None:
    before = create(client)
    for method, path, body in (
        ("POST", "/todos", {"task": "x"} | members),
        ("PUT", "/todos/1", members),
        ("PATCH", "/todos/1", members),
        ("PATCH", "/todos?complete=false", members),
    ):
        answer = client.request(method, path, json=body)

        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert client.get("/todos").json() == [before]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_day_and_an_instant_clear_each_other(client: TestClient, method: str) -> None:
    create(client, due_on="2026-12-24")
    timed = client.request(method, "/todos/1", json={"due_at": "2026-12-24T18:00:00Z"}).json()
    dated = client.request(method, "/todos/1", json={"due_on": "2026-12-25"}).json()
    kept = client.request(method, "/todos/1", json={"due_at": None}).json()
    cleared = client.request(method, "/todos/1", json={"due_on": None}).json()

    assert (timed["due_on"], timed["due_at"]) == (None, "2026-12-24T18:00:00Z")
    assert (dated["due_on"], dated["due_at"]) == ("2026-12-25", None)
    assert (kept["due_on"], kept["due_at"]) == ("2026-12-25", None)
    assert (cleared["due_on"], cleared["due_at"]) == (None, None)
    assert kept["version"] == dated["version"]


def test_null_clears_notes_and_an_absent_member_stays(client: TestClient) -> None:
    create(client, notes="Two litres", tags=["a"], priority=3)

    assert client.patch("/todos/1", json={"priority": 4}).json()["notes"] == "Two litres"
    cleared = client.patch("/todos/1", json={"notes": None}).json()
    assert cleared == cleared | {"notes": None, "tags": ["a"], "priority": 4}


def test_completed_at_says_since_when_a_todo_is_complete(client: TestClient) -> None:
    born_complete = create(client, complete=True)
    create(client)
    done = client.put("/todos/2", json={"complete": True}).json()
    still_done = client.put("/todos/2", json={"complete": True, "task": "Wrap them all"}).json()
    reopened = client.put("/todos/2", json={"complete": False}).json()

    assert born_complete["completed_at"] == born_complete["created_at"]
    assert instant(done["completed_at"]) >= instant(done["created_at"])
    assert still_done["completed_at"] == done["completed_at"]
    assert instant(still_done["updated_at"]) > instant(done["updated_at"])
    assert reopened["completed_at"] is None
    assert client.get("/todos/2").json() == reopened


def test_a_change_that_changes_nothing_keeps_the_time_of_the_last_one(client: TestClient) -> None:
    todo = create(client, tags=["a"], due_at="2026-12-24T18:00:00Z")
    same = {"tags": ["a"], "due_at": "2026-12-24T19:00:00+01:00", "complete": False, "due_on": None}

    assert client.put("/todos/1", json=same).json() == todo


def test_a_new_todo_is_the_last_one_in_the_order_of_positions(client: TestClient) -> None:
    create(client, task="first")
    create(client, task="sent", position=1_000_000)
    create(client, task="after the sent one")
    create(client, task="before all", position=-7)
    create(client, task="last")

    tasks = [todo["task"] for todo in client.get("/todos?sort=position").json()]
    assert tasks == ["before all", "first", "sent", "after the sent one", "last"]


def test_a_new_todo_behind_the_greatest_position_is_still_the_last(client: TestClient) -> None:
    create(client, task="at the end", position=2**53 - 1)
    create(client, task="new")

    assert [todo["task"] for todo in client.get("/todos?sort=position").json()] == ["at the end", "new"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_was_read_may_be_sent_back(client: TestClient, method: str) -> None:
    todo = create(client, due_at="2026-12-24T18:00:00Z", tags=["a"])
    answer = client.request(method, "/todos/1", json=todo | {"task": "changed"})

    assert answer.status_code == 200
    assert answer.json() == todo | {"task": "changed", "version": 2, "updated_at": answer.json()["updated_at"]}
    other_form = {"created_at": todo["created_at"].replace("Z", "+00:00"), "version": 2.0}
    assert client.request(method, "/todos/1", json=other_form).status_code == 200


DIFFERENT: dict[str, tuple[str, Any, str]] = {
    "an id": ("id", 7, "is set by the server, and is 1"),
    "an id as text": ("id", "1", "is set by the server, and is 1"),
    "a version": ("version", 2, "is set by the server, and is 1"),
    "a version as a boolean": ("version", True, "is set by the server, and is 1"),
    "an instant": ("completed_at", "2026-12-24T18:00:00Z", "is set by the server, and is null"),
    "an object": ("completed_at", {}, "is set by the server, and is null"),
}


@pytest.mark.parametrize(("name", "value", "detail"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_member_of_the_server_that_differs_is_refused_with_what_it_is(
    client: TestClient, name: str, value: Any, detail: str
) -> None:
    before = create(client)
    for method in ("PUT", "PATCH"):
        refused = client.request(method, "/todos/1", json={"task": "changed", name: value})

        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"pointer": f"/{name}", "detail": detail, "code": "set_by_server"}]
    for path, body in (("/todos", {"task": "x", name: value}), ("/todos/bulk", [{"task": "x", name: value}])):
        refused = client.post(path, json=body)
        assert refused.json()["errors"][0]["detail"] == "is set by the server; leave it out"
    refused = client.patch("/todos?ids=1", json={name: before[name]})
    assert refused.json()["errors"][0]["detail"] == "is set by the server; leave it out"
    assert client.get("/todos").json() == [before]


def test_a_misspelt_member_is_told_with_the_nearest_one_or_all(client: TestClient) -> None:
    near = client.post("/todos", json={"taks": "x", "task": "y"}).json()["errors"][0]
    far = client.patch("/todos/1", json={"zzz": 1})
    moved = client.post("/todos", json={"task": "y"}) and client.post("/todos/1/move", json={"befor": 2})

    assert near["detail"] == "is not a member of the request; did you mean 'task'?"
    assert far.status_code == 404
    far = client.patch("/todos/1", json={"zzz": 1})
    known = "task, complete, notes, due_on, due_at, priority, tags, list_id, parent_id, position"
    assert far.json()["errors"][0]["detail"] == f"is not a member of the request; the known ones are {known}"
    assert moved.json()["errors"][0]["detail"] == "is not a member of the request; did you mean 'before'?"


def test_the_time_of_the_last_change_never_goes_back(client: TestClient, database_url: str) -> None:
    todo = create(client)
    create(client)
    execute(database_url, "UPDATE todo_items SET updated_at = '2999-01-01 00:00:00.000000+00:00'")
    changed = client.patch("/todos/1", json={"priority": 1}).json()
    client.patch("/todos?ids=2", json={"priority": 1})

    assert changed["updated_at"] >= "2999-01-01T00:00:00Z"
    assert client.get("/todos/2").json()["updated_at"] >= "2999-01-01T00:00:00Z"
    assert todo["created_at"] <= changed["updated_at"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"due_on": "0000-01-01"}, "must be a day of the calendar, such as 2026-12-24"),
        ({"due_at": "0000-01-01T00:00:00Z"}, "must be an instant of the calendar, such as 2026-12-24T18:00:00Z"),
    ],
)
def test_the_year_0_is_refused_in_our_own_words(client: TestClient, body: dict[str, str], detail: str) -> None:
    assert client.post("/todos", json={"task": "x"} | body).json()["errors"][0]["detail"] == detail
