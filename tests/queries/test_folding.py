"""A search finds what looks the same to a person, whatever its case, accents and form, and nothing more."""

import sys
from collections.abc import Iterator
from unicodedata import category, normalize

import pytest
from fastapi.testclient import TestClient

from tests.applications import in_process
from tests.databases import PostgreSQL, migrate
from todo_api.single_model.folding import fold

SAME = [
    ("café", "cafe\u0301"),
    ("Chambéry", "chambery"),
    ("résumé", "RESUME"),
    ("감사", normalize("NFD", "감사")),
    ("Straße", "STRASSE"),
    ("ΟΔΟΣ", "οδος"),
    ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
    ("İstanbul", "istanbul"),
    ("\u017ftreet", "street"),
    ("\uff26\uff55\uff4c\uff4c", "full"),
    ("ﬁne", "fine"),
    ("👩\u200d🚀", "👩🚀"),
    ("co\u00adoperate", "cooperate"),
    ("שלום", "שלום"),
    ("מַזָּל", "מַזָּל"),
    ("Ёлка", "елка"),
    ("crème brûlée", "BRULEE"),
    ("ﷺ", "ﷺ"),
]
DIFFERENT = [("か", "が"), ("ハ", "バ"), ("कि", "की"), ("เก่า", "เกา"), ("o", "ø"), ("milk", "mlik")]


def alike() -> Iterator[tuple[str, str]]:
    """Pairs out of Python's own Unicode data: a letter, and the same one in another case or form."""
    letters = (chr(code) for code in range(0xA0, sys.maxunicode) if category(chr(code)).startswith("L"))
    for letter in letters:
        for other in {
            letter.upper(),
            letter.lower(),
            letter.casefold(),
            *(normalize(f, letter) for f in ("NFD", "NFKC")),
        }:
            if other != letter:
                yield letter, other


PAIRS = list(alike())
CHOSEN = PAIRS[:: len(PAIRS) // 200][:200]


def test_two_hundred_pairs_of_unicode_find_each_other(client: TestClient) -> None:
    texts = [f"ab{one}cd" for one, _ in CHOSEN]
    client.post("/todos/bulk", json=[{"task": text} for text in texts])
    missed = [
        (one, other)
        for number, (one, other) in enumerate(CHOSEN, 1)
        if number not in [todo["id"] for todo in client.get("/todos", params={"q": f"ab{other}cd"}).json()]
    ]

    assert len(CHOSEN) == 200
    assert missed == []


@pytest.mark.parametrize(("stored", "searched"), [*SAME, *((other, one) for one, other in SAME)])
def test_what_looks_the_same_is_found(client: TestClient, stored: str, searched: str) -> None:
    for body in ({"task": f"x {stored} y"}, {"task": "x", "notes": f"first\nthe {stored}"}):
        client.post("/todos", json=body)

    word = max(searched.split(), key=len)
    assert [todo["id"] for todo in client.get("/todos", params={"q": word}).json()] == [1, 2]


@pytest.mark.parametrize(("stored", "searched"), [*DIFFERENT, *((other, one) for one, other in DIFFERENT)])
def test_what_is_another_letter_is_not_found(client: TestClient, stored: str, searched: str) -> None:
    client.post("/todos", json={"task": f"ab{stored}cd"})

    assert client.get("/todos", params={"q": f"ab{searched}cd"}).json() == []


def test_the_folded_text_follows_every_change(client: TestClient) -> None:
    client.post("/todos", json={"task": "Café"})
    client.post("/todos/bulk", json=[{"task": "Thé"}, {"task": "x", "notes": "Thé"}])

    def found(words: str) -> list[int]:
        return [todo["id"] for todo in client.get("/todos", params={"q": words}).json()]

    assert (found("cafe"), found("the")) == ([1], [2, 3])
    client.put("/todos/1", json={"task": "Thé"})
    assert (found("cafe"), found("the")) == ([], [1, 2, 3])
    client.patch("/todos?ids=2&ids=3", json={"task": "Café", "notes": None})
    assert (found("cafe"), found("the")) == ([2, 3], [1])
    client.patch("/todos/1", json={"notes": "Über"})
    assert found("uber") == [1]


def test_tags_that_look_the_same_are_the_same(client: TestClient) -> None:
    refused = client.post("/todos", json={"task": "x", "tags": ["é", "e\u0301"]})
    created = client.post("/todos", json={"task": "x", "tags": ["e\u0301té"]})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/tags")
    assert created.json()["tags"] == ["été"]
    assert len(client.get("/todos", params={"tag": "e\u0301te\u0301"}).json()) == 1
    assert len(client.get("/todos", params={"tag": "été"}).json()) == 1


@pytest.mark.parametrize("text", ["\u200b", "\ufeff", "\u3164", "\u2060 \u00ad", "\ufe0f"])
def test_what_cannot_be_seen_is_blank(client: TestClient, text: str) -> None:
    for body, pointer in (({"task": text}, "/task"), ({"task": "x", "tags": [text]}, "/tags/0")):
        refused = client.post("/todos", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert client.get("/todos", params={"q": text}).status_code == 422
    assert client.post("/todos", json={"task": "x", "notes": text}).json()["notes"] is None


def test_to_fold_what_is_folded_changes_nothing() -> None:
    assert [letter for pair in PAIRS for letter in pair if fold(fold(letter)) != fold(letter)] == []


def test_the_locale_of_the_database_makes_no_difference(postgresql_backend: PostgreSQL) -> None:
    url = postgresql_backend._create(
        postgresql_backend._new_name(), "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    migrate(url, "upgrade", "head")
    pairs = [pair for pair in SAME if " " not in pair[0]]
    with in_process(database_url=url) as client:
        client.post("/todos/bulk", json=[{"task": f"ab{one}cd"} for one, _ in pairs])
        for number, (_, other) in enumerate(pairs, 1):
            found = client.get("/todos", params={"q": f"ab{other}cd"}).json()
            assert number in [todo["id"] for todo in found], other
