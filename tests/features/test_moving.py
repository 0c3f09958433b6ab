"""Moving todos in the order of their positions."""

import random
from typing import Any

import pytest
from fastapi.testclient import TestClient

END = 2**53 - 1


@pytest.fixture
def four(client: TestClient) -> TestClient:
    """A client with the todos 1 to 4, in this order."""
    for task in "abcd":
        client.post("/todos", json={"task": task})
    return client


def order(client: TestClient) -> list[int]:
    return [todo["id"] for todo in client.get("/todos?sort=position&limit=500").json()]


@pytest.mark.parametrize(
    ("todo", "move", "moved"),
    [
        (3, {"before": 1}, [3, 1, 2, 4]),
        (1, {"before": 4}, [2, 3, 1, 4]),
        (1, {"after": 4}, [2, 3, 4, 1]),
        (4, {"after": 1}, [1, 4, 2, 3]),
        (3, {"to": "top"}, [3, 1, 2, 4]),
        (2, {"to": "bottom"}, [1, 3, 4, 2]),
        (1, {"before": 2}, [1, 2, 3, 4]),
        (2, {"after": 1}, [1, 2, 3, 4]),
        (1, {"to": "top"}, [1, 2, 3, 4]),
        (4, {"to": "bottom"}, [1, 2, 3, 4]),
    ],
    ids=str,
)
def test_a_todo_moves_to_where_it_is_told_and_no_other_changes(
    four: TestClient, todo: int, move: dict[str, Any], moved: list[int]
) -> None:
    before = {each["id"]: each for each in four.get("/todos").json()}
    answer = four.post(f"/todos/{todo}/move", json=move)
    after = {each["id"]: each for each in four.get("/todos").json()}

    assert answer.status_code == 200
    assert answer.json() == after[todo]
    assert answer.headers["etag"] == f'"{after[todo]["version"]}"'
    assert order(four) == moved
    assert {number for number in before if after[number] != before[number]} == (
        {todo} if moved != [1, 2, 3, 4] else set()
    )


def test_the_only_todo_is_where_it_is_told_to_be(client: TestClient) -> None:
    client.post("/todos", json={"task": "alone"})

    assert client.post("/todos/1/move", json={"to": "bottom"}).json()["version"] == 1


BAD_MOVES: dict[str, tuple[str, Any]] = {
    "nothing": ("", {}),
    "two": ("", {"before": 1, "after": 2}),
    "three": ("", {"before": 1, "after": 2, "to": "top"}),
    "a null beside": ("/after", {"before": 1, "after": None}),
    "an unknown end": ("/to", {"to": "middle"}),
    "text for an id": ("/before", {"before": "1"}),
    "no id": ("/after", {"after": 0}),
    "an unknown todo": ("/before", {"before": 99}),
    "itself": ("/after", {"after": 3}),
    "an unknown member": ("/above", {"above": 1}),
    "an array": ("", [1]),
}


@pytest.mark.parametrize(("pointer", "move"), BAD_MOVES.values(), ids=BAD_MOVES.keys())
def test_a_bad_move_is_refused_and_moves_nothing(four: TestClient, pointer: str, move: Any) -> None:
    answer = four.post("/todos/3/move", json=move)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert order(four) == [1, 2, 3, 4]


def test_a_move_of_another_version_is_refused(four: TestClient) -> None:
    assert four.post("/todos/3/move", json={"to": "top"}, headers={"if-match": '"2"'}).status_code == 412
    assert four.post("/todos/9/move", json={"to": "top"}).status_code == 404
    assert four.post("/todos/3/move", json={"to": "top"}, headers={"if-match": '"1"'}).status_code == 200
    assert order(four) == [3, 1, 2, 4]


@pytest.mark.parametrize(
    "positions",
    [
        [1, 2, 3, 4],
        [0, 0, 0, 0],
        [-END, -END, -END, -END],
        [END, END, END, END],
        [-END, -END + 1, END - 1, END],
        [5, 5, 6, 6],
    ],
    ids=str,
)
def test_where_there_is_no_room_it_is_made(client: TestClient, positions: list[int]) -> None:
    for position in positions:
        client.post("/todos", json={"task": "x", "position": position})
    for todo, move, moved in (
        (4, {"after": 1}, [1, 4, 2, 3]),
        (3, {"before": 4}, [1, 3, 4, 2]),
        (1, {"to": "bottom"}, [3, 4, 2, 1]),
        (2, {"to": "top"}, [2, 3, 4, 1]),
    ):
        assert client.post(f"/todos/{todo}/move", json=move).status_code == 200
        assert order(client) == moved


def test_making_room_leaves_todos_far_from_the_gap_alone(client: TestClient) -> None:
    client.post("/todos/bulk", json=[{"task": "x"} for _ in range(300)])
    client.put("/todos/11", json={"position": client.get("/todos/10").json()["position"] + 1})
    client.post("/todos/200/move", json={"after": 10})

    versions = {todo["id"]: todo["version"] for todo in client.get("/todos?limit=500").json()}
    changed = {number for number, version in versions.items() if version > 1}
    assert order(client) == [*range(1, 11), 200, *range(11, 200), *range(201, 301)]
    assert changed <= {200, *range(11, 50)}


def test_making_room_leaves_a_todo_alone_that_stands_where_it_is_to_be(client: TestClient) -> None:
    for position in (0, 1, 3 * 65_536, -1):
        client.post("/todos", json={"task": "x", "position": position})
    last = client.get("/todos/3").json()
    client.post("/todos/4/move", json={"after": 1})

    assert order(client) == [1, 4, 2, 3]
    assert client.get("/todos/2").json()["version"] == 2
    assert client.get("/todos/3").json() == last


def test_a_hundred_moves_end_in_the_order_that_a_list_would_have(client: TestClient) -> None:
    chance = random.Random(7)  # noqa: S311  # the same moves each time
    expected = list(range(1, 21))
    client.post("/todos/bulk", json=[{"task": "x", "position": 0} for _ in expected])
    for _ in range(100):
        todo, anchor = chance.sample(expected, 2)
        side = chance.choice(["before", "after"])
        expected.remove(todo)
        expected.insert(expected.index(anchor) + (side == "after"), todo)

        assert client.post(f"/todos/{todo}/move", json={side: anchor}).status_code == 200
    assert order(client) == expected


def test_a_move_beside_nothing_or_itself_says_so(client: TestClient) -> None:
    client.post("/todos", json={"task": "x"})
    unknown = client.post("/todos/1/move", json={"before": 9}).json()["errors"][0]
    itself = client.post("/todos/1/move", json={"after": 1}).json()["errors"][0]

    assert (unknown["pointer"], unknown["detail"]) == ("/before", "there is no todo with this id")
    assert (itself["pointer"], itself["detail"]) == ("/after", "is the todo itself")
