"""Lists: pages by key, filters, sorts and counts."""

import base64
import json
import re
import zlib
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient


def fill(client: TestClient, *tasks: str) -> None:
    for task in tasks:
        client.post("/todos", json={"task": task.removeprefix("x "), "complete": task.startswith("x ")})


def next_page(answer: httpx.Response) -> str | None:
    link = answer.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert found
    return str(answer.url.join(found[1]))


def pages(client: TestClient, address: str) -> list[list[str]]:
    """The tasks of each page."""
    found = []
    following: str | None = address
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        found.append([todo["task"] for todo in answer.json()])
        following = next_page(answer)
    return found


def test_pages_lead_through_the_whole_list(client: TestClient) -> None:
    fill(client, "a", "b", "c", "d", "e")

    assert pages(client, "/todos?limit=2") == [["a", "b"], ["c", "d"], ["e"]]
    assert pages(client, "/todos?limit=5") == [["a", "b", "c", "d", "e"]]
    assert pages(client, "/todos") == [["a", "b", "c", "d", "e"]]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("id", "bCaéAb"),
        ("-id", "bAéaCb"),
        ("task", "ACabbé"),
        ("-task", "ébbaCA"),
        ("complete", "bCébaA"),
        ("-complete", "AabéCb"),
        ("complete,-task", "ébbCaA"),
        ("-complete,task,-id", "AaCbbé"),
        ("task,-id", "ACabbé"),
        ("version,id", "bCaéAb"),
        ("id,task", "bCaéAb"),
    ],
)
def test_a_sorted_list_is_the_same_on_pages_of_every_size(client: TestClient, sort: str, order: str) -> None:
    fill(client, "b", "C", "x a", "é", "x A", "b")

    assert ["".join(page) for page in pages(client, f"/todos?sort={sort}")] == [order]
    for limit in (1, 2, 5):
        assert "".join("".join(page) for page in pages(client, f"/todos?sort={sort}&limit={limit}")) == order


def test_a_page_of_long_notes_leads_to_the_next_one(client: TestClient) -> None:
    for notes in ("b" * 16_384, "a" * 16_384, "é" * 16_384):
        client.post("/todos", json={"task": "x", "notes": notes})
    first = client.get("/todos?sort=notes&limit=2")
    second = client.get(next_page(first) or "")

    assert [todo["id"] for todo in first.json()] == [2, 1]
    assert second.status_code == 200
    assert [todo["id"] for todo in second.json()] == [3]


def test_a_page_of_notes_that_begin_blank_leads_to_the_next_one(client: TestClient) -> None:
    for notes in (f"{' ' * 500}b", None, "a", "\n" * 600 + "a", f"{' ' * 600}a"):
        client.post("/todos", json={"task": "x", "notes": notes})

    for sort, order in (("notes", [4, 1, 5, 3, 2]), ("-notes", [3, 5, 1, 4, 2])):
        first = client.get(f"/todos?sort={sort}&limit=2")
        second = client.get(next_page(first) or "")
        third = client.get(next_page(second) or "")
        assert [todo["id"] for page in (first, second, third) for todo in page.json()] == order


def test_what_is_due_on_the_first_or_the_last_day_of_the_calendar_is_listed_in_pages(client: TestClient) -> None:
    days = ["9999-12-31", "0001-01-01", "2026-12-24", "9999-12-31", "0001-01-01", None]
    client.post("/todos/bulk", json=[{"task": "x", "due_on": day} for day in days])

    for sort, order in (("due", [2, 5, 3, 1, 4, 6]), ("-due", [4, 1, 3, 5, 2, 6]), ("due_on", [2, 5, 3, 1, 4, 6])):
        page = client.get(f"/todos?sort={sort}&limit=1")
        found = page.json()
        for _ in days[1:]:
            page = client.get(next_page(page) or "")
            found += page.json()
        assert next_page(page) is None
        assert [todo["id"] for todo in found] == order
        assert [todo["due_on"] for todo in found] == [days[number - 1] for number in order]


def test_ties_are_broken_by_id(client: TestClient) -> None:
    fill(client, "b", "a", "b", "a")

    assert [todo["id"] for todo in client.get("/todos?sort=task").json()] == [2, 4, 1, 3]
    assert [todo["id"] for todo in client.get("/todos?sort=-task").json()] == [3, 1, 4, 2]
    assert [todo["id"] for todo in client.get("/todos?sort=-task,id").json()] == [1, 3, 2, 4]
    assert [todo["id"] for todo in client.get("/todos?sort=task,-id").json()] == [4, 2, 3, 1]


def test_what_comes_and_goes_between_two_pages_moves_nothing_else(client: TestClient) -> None:
    fill(client, "a", "b", "c", "d", "e", "f")
    first = client.get("/todos?limit=3")
    client.delete("/todos/1")
    client.delete("/todos/3")
    client.delete("/todos/5")
    fill(client, "g")

    following = next_page(first)
    assert following is not None
    assert [todo["task"] for todo in client.get(following).json()] == ["d", "f", "g"]


def test_the_next_page_keeps_every_parameter(client: TestClient) -> None:
    fill(client, *(f"buy {number} %" for number in range(5)))
    asked = "/todos?limit=2&complete=false&q=BUY+%25&sort=-task&count=true&ids=5&ids=4&ids=3&ids=1"
    first = client.get(asked)

    following = next_page(first)
    assert following is not None
    assert parse_qs(urlsplit(following).query).keys() == {"cursor", "count"}
    assert [todo["id"] for todo in first.json()] == [5, 4]
    second = client.get(following)
    assert [todo["id"] for todo in second.json()] == [3, 1]
    assert second.headers["x-total-count"] == "4"


def test_a_cursor_is_enough_to_go_on_and_what_is_sent_beside_it_must_be_its_own(client: TestClient) -> None:
    fill(client, *"abcdef", "x g")
    first = client.get("/todos?limit=2&complete=false&sort=-task")
    cursor = first.headers["x-next-cursor"]

    assert first.headers["link"] == f'<http://127.0.0.1:8000/todos?cursor={cursor}>; rel="next"'
    assert [todo["task"] for todo in client.get(f"/todos?cursor={cursor}").json()] == ["d", "c"]
    for beside, tasks in (
        ("complete=false&sort=-task", ["d", "c"]),
        ("complete=0&limit=3", ["d", "c", "b"]),
        ("count=true", ["d", "c"]),
    ):
        answer = client.get(f"/todos?cursor={cursor}&{beside}")
        assert [todo["task"] for todo in answer.json()] == tasks, answer.text
    for beside in ("complete=true", "sort=task", "q=d", "complete=false&sort=-task&tag=a"):
        refused = client.get(f"/todos?cursor={cursor}&{beside}")
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "cursor")
    last = client.get("/todos?limit=7")
    assert "link" not in last.headers
    assert "x-next-cursor" not in last.headers


def test_a_page_ends_early_when_its_texts_are_long(client: TestClient) -> None:
    for _ in range(3):
        client.post("/todos/bulk", json=[{"task": "x", "notes": "n" * 16_384} for _ in range(30)])
    first = client.get("/todos?limit=500")

    assert 64 <= len(first.json()) < 70
    assert len(client.get(first.links["next"]["url"]).json()) == 90 - len(first.json())


@pytest.mark.parametrize(
    "content",
    [
        [{}, True],
        [{}, "1"],
        [{}, 1.0],
        [{}, 1, 2],
        [{}],
        [{"limit": 5}, 1],
        [{"limit": "501"}, 1],
        [{"cursor": "x"}, 1],
        [{"titel": "x"}, 1],
        [["a"], 1],
        {"a": 1},
        7,
        None,
    ],
    ids=str,
)
def test_a_forged_cursor_is_refused(client: TestClient, content: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    refused = client.get("/todos", params={"cursor": cursor})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "cursor")


def test_a_cursor_that_unpacks_to_too_much_is_refused(client: TestClient) -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" * 10_000_000)).decode().rstrip("=")
    refused = client.get("/todos", params={"cursor": bomb[:7000]})

    assert refused.status_code in (422, 431)


def test_a_cursor_of_a_long_query_fits_into_an_address(client: TestClient) -> None:
    fill(client, *map(str, range(110)))
    ids = "&".join(f"ids={number}" for number in range(1, 101))
    first = client.get(f"/todos?limit=60&{ids}")

    assert len(first.headers["x-next-cursor"]) < 1000
    assert len(client.get(first.links["next"]["url"]).json()) == 40


def test_a_list_is_filtered_by_complete(client: TestClient) -> None:
    fill(client, "a", "x b", "c")

    assert pages(client, "/todos?complete=true") == [["b"]]
    assert pages(client, "/todos?complete=false&limit=1") == [["a"], ["c"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("milk", ["Buy MILK", "milk 100%"]),
        ("MiL", ["Buy MILK", "milk 100%"]),
        ("uy mil", ["Buy MILK"]),
        ("milk buy", ["Buy MILK"]),
        ("%", ["milk 100%"]),
        ("_", ["snake_case"]),
        ("\\", ["back\\slash"]),
        ("éclair", ["Éclair"]),
        ("ÉCLAIR", ["Éclair"]),
        ("nothing", []),
    ],
)
def test_words_are_found_in_any_case_and_literally(client: TestClient, words: str, found: list[str]) -> None:
    fill(client, "Buy MILK", "milk 100%", "snake_case", "snakeXcase", "back\\slash", "Éclair")

    assert [todo["task"] for todo in client.get("/todos", params={"q": words}).json()] == found


def test_todos_are_found_by_their_ids(client: TestClient) -> None:
    fill(client, "a", "b", "c")

    assert pages(client, "/todos?ids=3&ids=1&ids=99") == [["a", "c"]]


def test_a_list_counts_what_matches_on_all_pages(client: TestClient) -> None:
    fill(client, "a", "x b", "c", "d")

    assert client.get("/todos?count=true&limit=1").headers["x-total-count"] == "4"
    assert client.get("/todos?count=true&complete=false&q=c").headers["x-total-count"] == "1"
    assert "x-total-count" not in client.get("/todos?limit=1").headers
    assert "x-total-count" not in client.get("/todos?count=false").headers


BAD_QUERIES = {
    "sort=colour": (
        "sort",
        "names an unknown member; the known ones are id, task, complete, notes, due_on, due_at, priority, list_id,"
        " parent_id, position, created_at, updated_at, completed_at, version, due",
    ),
    "sort=tags": ("sort", None),
    "sort=tsk": ("sort", "names an unknown member; did you mean 'task'?"),
    "sort=": ("sort", None),
    "sort=task,": ("sort", None),
    "sort=--task": ("sort", None),
    "complete=yes": ("complete", "must be true or false"),
    "complete=2": ("complete", None),
    "complete=": ("complete", None),
    "count=TRUE": ("count", None),
    "ids=0": ("ids", None),
    "ids=1,2": ("ids", "must be an integer"),
    "&".join(f"ids={number}" for number in range(1, 102)): ("ids", None),
    "limit=1.0": ("limit", "must be an integer"),
    "limit=%2B1": ("limit", None),
    "limit=1_0": ("limit", None),
    "q=": ("q", None),
    "q=%20": ("q", None),
    "q=a%00b": ("q", None),
    "q=" + "x" * 201: ("q", None),
    "q=caf%E9": ("q", "must be UTF-8, percent-encoded"),
    "tag=caf%C3%A9&tag=%EF%BF%BD&q=%C3": ("q", None),
    "limit=1&limit=2": ("limit", "may be given once"),
    "q=a&q=b": ("q", "may be given once"),
    "complet=true": ("complet", "is not a parameter of this operation; did you mean 'complete'?"),
    "offset=5": ("offset", "is not a parameter of this operation"),
}


@pytest.mark.parametrize(("query", "pointer", "detail"), [(query, *said) for query, said in BAD_QUERIES.items()])
def test_a_bad_query_is_refused_by_the_name_of_the_parameter(
    client: TestClient, query: str, pointer: str, detail: str | None
) -> None:
    answer = client.get(f"/todos?{query}")

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert "should" not in error["detail"]
    assert detail is None or error["detail"] == detail


def forged(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_a_cursor_with_a_value_that_no_row_can_have_is_refused(client: TestClient) -> None:
    for notes in ("a", "b"):
        client.post("/todos", json={"task": "x", "notes": notes})
    link = next_page(client.get("/todos?sort=notes&limit=1"))
    assert link is not None
    query = json.loads(base64.urlsafe_b64decode(parse_qs(urlsplit(link).query)["cursor"][0] + "=="))[0]

    for value, status in (("a", 200), ("\ud800", 422), ("\0", 422), (1, 422)):
        answer = client.get("/todos", params={"sort": "notes", "cursor": forged(query, value, 1)})
        assert answer.status_code == status
    link = next_page(client.get("/todos?sort=due&limit=1"))
    query = json.loads(base64.urlsafe_b64decode(parse_qs(urlsplit(link or "").query)["cursor"][0] + "=="))[0]
    for value, status in (("2026-12-24T00:00:00Z", 200), ("0001-01-01T00:00:00+14:00", 422), ("2026-12-24", 422)):
        answer = client.get("/todos", params={"sort": "due", "cursor": forged(query, value, 1)})
        assert answer.status_code == status


def test_a_cursor_of_another_query_is_refused(client: TestClient) -> None:
    fill(client, "a", "b", "c")
    link = next_page(client.get("/todos?limit=1"))
    assert link is not None
    cursor = parse_qs(urlsplit(link).query)["cursor"][0]
    fingerprint = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]

    assert client.get("/todos", params={"cursor": cursor, "limit": 2, "count": "true"}).status_code == 200
    bad = [
        {"cursor": cursor, "sort": "-id"},
        {"cursor": cursor, "complete": "false"},
        {"cursor": cursor, "q": "a"},
        {"cursor": cursor, "ids": "1"},
    ]
    bad += [
        {"cursor": text}
        for text in (
            "",
            "x",
            "é",
            cursor[:-2],
            cursor + "AAAA",
            "W" * 4096,
            forged(),
            forged(fingerprint),
            forged(fingerprint, 1, 2),
            forged(fingerprint, "1; DROP TABLE todo_items"),
            forged(fingerprint, 0),
            forged(fingerprint, 2**63),
            forged(fingerprint, None),
            forged(fingerprint, {}),
            forged("0" * 16, 1),
            base64.urlsafe_b64encode(b"[" * 5000).decode(),
        )
    ]
    for query in bad:
        answer = client.get("/todos", params=query)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "cursor"


def test_head_answers_as_get_without_the_body(client: TestClient) -> None:
    fill(client, "a", "b")
    for path in ("/todos?limit=1&count=true", "/todos/1", "/openapi.json", "/docs", "/todos/7"):
        got, head = client.get(path), client.head(path)

        assert head.status_code == got.status_code
        assert head.content == b""
        ignored = {"x-request-id", "date"}
        assert {name: value for name, value in head.headers.items() if name not in ignored} == {
            name: value for name, value in got.headers.items() if name not in ignored
        }


@pytest.mark.parametrize(
    "lengths",
    [(4_000,) * 300, (6_000,) * 200, (0,) * 36 + (16_384,) * 67, (0, 16_384, 3_000, 11_000) * 60],
    ids=["4,000 characters", "6,000 characters", "long ones behind short ones", "mixed"],
)
def test_pages_that_end_early_lead_on_to_every_todo(client: TestClient, lengths: tuple[int, ...]) -> None:
    for first in range(0, len(lengths), 50):
        todos = [{"task": "x", "notes": "n" * length or None} for length in lengths[first : first + 50]]
        assert client.post("/todos/bulk", json=todos).status_code == 201
    for query in ("limit=500", "limit=200", "limit=500&sort=-priority", "limit=500&sort=notes"):
        found: list[int] = []
        page = client.get(f"/todos?{query}")
        found += (todo["id"] for todo in page.json())
        while cursor := page.headers.get("x-next-cursor"):
            page = client.get(f"/todos?cursor={cursor}")
            found += (todo["id"] for todo in page.json())
        assert sorted(found) == list(range(1, len(lengths) + 1))
