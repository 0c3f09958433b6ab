"""Lists and trees that many clients change at once, over two processes: nothing dangles, nothing goes in a circle."""

import random
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.servers import Call, at_once, serving

pytestmark = pytest.mark.slow

ROUNDS = 25


@pytest.fixture
def clients(folder: Path, database_url: str) -> Iterator[list[httpx.Client]]:
    """Clients of two processes on one database."""
    with (
        serving(folder, TODO_DATABASE_URL=database_url) as (_, one),
        serving(folder, TODO_DATABASE_URL=database_url) as (_, other),
    ):
        yield [one, other]


def send(clients: list[httpx.Client], calls: list[Call]) -> list[httpx.Response]:
    """The answers to calls that are sent together, by turns to each process."""
    spread = [
        (method, str(clients[number % len(clients)].base_url.join(path)), body)
        for number, (method, path, body) in enumerate(calls)
    ]
    return at_once(clients[0], spread)


def check(client: httpx.Client) -> dict[int, dict[str, int | None]]:
    """Each todo by its id, when all that they name is there, and every rule of trees holds."""
    lists = {each["id"] for each in client.get("/lists?limit=500").json()}
    todos = {each["id"]: each for each in client.get("/todos?limit=500").json()}
    for todo in todos.values():
        assert todo["list_id"] is None or todo["list_id"] in lists
        levels, up = 1, todo["parent_id"]
        while up is not None:
            assert todos[up]["list_id"] == todo["list_id"]
            levels, up = levels + 1, todos[up]["parent_id"]
            assert levels <= 8
    return todos


def make(client: httpx.Client, *parents: int | None) -> list[int]:
    return [client.post("/todos", json={"task": "x", "parent_id": parent}).json()["id"] for parent in parents]


@pytest.mark.parametrize("query", ["", "?with_todos=true"])
def test_a_list_that_is_deleted_while_todos_are_put_into_it_takes_all_or_none(
    clients: list[httpx.Client], query: str
) -> None:
    client, dice = clients[0], random.Random(query)  # noqa: S311  # the same order each time, no secret
    for _ in range(ROUNDS):
        list_id = client.post("/lists", json={"name": "x"}).json()["id"]
        todos = make(client, None, None, None, None)
        todos += make(client, *todos)
        calls: list[Call] = [("PATCH", f"/todos/{todo}", {"list_id": list_id}) for todo in todos[:4]]
        calls += [("POST", "/todos", {"task": "new", "list_id": list_id})] * 6
        calls += [("POST", "/todos/bulk", [{"task": "new", "list_id": list_id}] * 2)] * 3
        calls += [("PATCH", f"/todos?ids={todos[0]}&ids={todos[1]}", {"list_id": list_id})] * 2
        dice.shuffle(calls)
        calls.insert(dice.randrange(8), ("DELETE", f"/lists/{list_id}{query}", None))
        answers = send(clients, calls)
        check(client)

        deleted = next(each for each in answers if each.request.method == "DELETE").status_code
        assert deleted in ((204,) if query else (204, 409))
        for answer in answers:
            if answer.status_code == 422:
                assert answer.json()["errors"][0]["code"] == "no_such_list"
        assert {each.status_code for each in answers} <= {200, 201, 204, 404, 409, 422}
        assert client.get(f"/lists/{list_id}").status_code == (404 if deleted == 204 else 200)
        assert not (deleted == 409 and any(each.status_code == 422 for each in answers))
        assert bool(client.get(f"/todos?list_id={list_id}").json()) is (deleted == 409)
        client.delete("/todos?has_due=false")


def test_moves_that_would_each_be_right_never_make_a_circle_together(clients: list[httpx.Client]) -> None:
    client, refused = clients[0], 0
    for _ in range(ROUNDS):
        todos = make(client, *[None] * 8)
        ring = [*todos[1:], todos[0]]
        calls: list[Call] = [
            ("PATCH", f"/todos/{todo}", {"parent_id": parent}) for todo, parent in zip(todos, ring, strict=True)
        ]
        calls += [
            ("PATCH", f"/todos?ids={todo}", {"parent_id": parent}) for parent, todo in zip(todos, ring, strict=True)
        ]
        answers = send(clients, calls)
        found = check(client)

        assert {each.status_code for each in answers} <= {200, 422}
        codes = {error["code"] for each in answers if each.status_code == 422 for error in each.json()["errors"]}
        assert codes <= {"cycle", "too_deep"}
        assert len(found) == 8
        refused += len(codes)
        client.delete("/todos?has_due=false")
    assert refused >= ROUNDS


def test_moves_and_new_subtasks_never_make_a_tree_too_deep_together(clients: list[httpx.Client]) -> None:
    client, refused = clients[0], 0
    for _ in range(ROUNDS):
        chains = [make(client, None) for _ in range(2)]
        for chain in chains:
            for _ in range(3):
                chain += make(client, chain[-1])
        one, other = chains
        calls: list[Call] = [("POST", "/todos", {"task": "x", "parent_id": chain[-1]}) for chain in chains * 4]
        calls[2:2] = [("PATCH", f"/todos/{one[0]}", {"parent_id": other[-1]})] * 4
        calls[6:6] = [("PATCH", f"/todos/{other[0]}", {"parent_id": one[-1]})] * 4
        answers = send(clients, calls)
        check(client)

        assert {each.status_code for each in answers} <= {200, 201, 422}
        refused += sum(each.status_code == 422 for each in answers)
        client.delete("/todos?has_due=false")
    assert refused >= ROUNDS


def test_a_todo_that_is_deleted_while_subtasks_are_added_takes_all_of_them_along(clients: list[httpx.Client]) -> None:
    client, refused = clients[0], 0
    for _ in range(ROUNDS):
        top, spare = make(client, None, None)
        (below,) = make(client, top)
        calls: list[Call] = [("POST", "/todos", {"task": "x", "parent_id": parent}) for parent in (top, below) * 5]
        calls += [("PATCH", f"/todos/{spare}", {"parent_id": below})] * 5
        calls.insert(7, ("DELETE", f"/todos/{top}", None))
        answers = send(clients, calls)
        found = check(client)

        assert {each.status_code for each in answers} <= {200, 201, 204, 404, 422}
        assert found.keys() <= {spare}
        refused += sum(each.status_code == 422 for each in answers)
        client.delete("/todos?has_due=false")
    assert refused > 0
