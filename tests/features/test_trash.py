"""The trash: what is deleted can be restored, until it is purged."""

import asyncio
from typing import Any

import asyncpg
import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, command, in_process
from tests.databases import PostgreSQL

EVER = "2000-01-01T00:00:00Z"


def make(client: TestClient, *parents: int | None, **members: Any) -> list[int]:
    """New todos, one below each of these."""
    bodies = [{"task": "Buy milk", "parent_id": parent, **members} for parent in parents]
    return [client.post("/todos", json=body).json()["id"] for body in bodies]


def chain(client: TestClient, length: int, top: int | None = None) -> list[int]:
    """New todos, each below the one before."""
    made: list[int] = []
    for _ in range(length):
        made += make(client, made[-1] if made else top)
    return made


def ids(client: TestClient, path: str) -> list[int]:
    return [todo["id"] for todo in client.get(path).json()]


def parents(client: TestClient) -> dict[int, int | None]:
    return {todo["id"]: todo["parent_id"] for todo in client.get("/todos?limit=500").json()}


def test_a_deleted_todo_is_in_the_trash_with_all_it_had_and_comes_back_with_its_id(client: TestClient) -> None:
    body = {"task": "Buy milk", "notes": "Two litres", "due_on": "2026-12-24", "tags": ["shopping"], "complete": True}
    before = client.post("/todos", json=body).json()
    assert client.delete("/todos/1").status_code == 204
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/todos/1", json={} if method[0] == "P" else None).status_code == 404

    (deleted,) = client.get("/trash").json()
    assert deleted == before | {"deleted_at": deleted["deleted_at"]}
    assert list(deleted) == [*before, "deleted_at"]
    found = client.get("/trash/1")
    assert (found.json(), found.headers["etag"]) == (deleted, '"1"')
    assert client.get("/trash/1", headers={"if-none-match": '"1"'}).status_code == 304

    assert client.post("/trash/1/restore", headers={"if-match": '"2"'}).status_code == 412
    assert client.post("/trash/1/restore?dry_run=true").json()["version"] == 2
    assert ids(client, "/todos") == []
    restored = client.post("/trash/1/restore", headers={"if-match": '"1"'})
    assert (restored.status_code, restored.headers["etag"]) == (200, '"2"')
    assert restored.json() == before | {"version": 2, "updated_at": restored.json()["updated_at"]}
    assert restored.json()["updated_at"] > before["updated_at"]
    assert client.get("/todos/1").json() == restored.json()
    assert ids(client, "/todos?q=litres") == ids(client, "/todos?tag=shopping") == [1]
    assert client.get("/trash").json() == []
    for path in ("/trash/1/restore", "/trash/9/restore"):
        assert client.post(path).status_code == 404
    assert client.get("/trash/1").status_code == client.delete("/trash/1").status_code == 404
    assert client.get("/trash/1").json()["detail"] == "There is no todo with this id in the trash."


def test_the_trash_has_the_last_deleted_first_in_pages_and_by_its_own_filters(client: TestClient) -> None:
    make(client, *[None] * 7)
    client.patch("/todos/4", json={"task": "Brot kaufen"})
    for todo in (2, 5, 4):
        client.delete(f"/todos/{todo}")
    client.delete("/todos?ids=1&ids=7")

    assert ids(client, "/trash") == [7, 1, 4, 5, 2]
    pages, page = [], client.get("/trash?limit=2&count=true")
    assert page.headers["x-total-count"] == "5"
    while True:
        pages.append([todo["id"] for todo in page.json()])
        if "link" not in page.headers:
            break
        page = client.get("/trash", params={"cursor": page.headers["x-next-cursor"]})
    assert pages == [[7, 1], [4, 5], [2]]
    assert ids(client, "/trash?q=BROT") == [4]
    assert ids(client, "/trash?q=milk&ids=5&ids=4&ids=3") == [5]
    when = client.get("/trash/4").json()["deleted_at"]
    assert ids(client, f"/trash?deleted_after={when}") == [7, 1]
    assert ids(client, f"/trash?deleted_before={when}") == [5, 2]
    assert ids(client, f"/trash?deleted_before={when}&limit=1") == [5]


@pytest.mark.parametrize("query", ["sort=id", "complete=true", "created_after=" + EVER, "list_id=1", "tag=x", "ids=x"])
@pytest.mark.parametrize("call", [("GET", "/trash"), ("POST", "/trash/restore"), ("DELETE", "/trash")], ids=str)
def test_the_trash_takes_no_other_filter_and_no_sort(client: TestClient, call: tuple[str, str], query: str) -> None:
    answer = client.request(call[0], f"{call[1]}?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] in (query.partition("=")[0], "ids/0")


@pytest.mark.parametrize("call", [("POST", "/trash/restore"), ("DELETE", "/trash")], ids=str)
def test_what_touches_many_in_the_trash_needs_a_filter_and_keeps_to_a_limit(
    client: TestClient, call: tuple[str, str]
) -> None:
    method, path = call
    chain(client, 3)
    client.delete("/todos/1")
    (error,) = client.request(method, path).json()["errors"]
    assert (error["code"], "deleted_after=2000" in error["detail"]) == ("no_filter", True)
    refused = client.request(method, f"{path}?deleted_after={EVER}&max_affected=2")
    assert (refused.status_code, refused.json()["matched"], refused.json()["changed"]) == (409, 3, 3)
    tried = client.request(method, f"{path}?deleted_after={EVER}&dry_run=true&max_affected=3")
    assert (tried.json(), tried.headers["x-dry-run"]) == ({"matched": 3, "changed": 3}, "true")
    assert client.request(method, f"{path}?ids=9").json() == {"matched": 0, "changed": 0}
    assert client.request(method, f"{path}?ids=1", headers={"if-match": '"1"'}).status_code == 412

    assert ids(client, "/trash") == [3, 2, 1]
    assert client.request(method, f"{path}?q=milk").json() == {"matched": 3, "changed": 3}
    assert ids(client, "/trash") == []
    assert parents(client) == ({1: None, 2: 1, 3: 2} if method == "POST" else {})


def test_a_limit_counts_what_comes_back_too(client: TestClient) -> None:
    chain(client, 3)
    client.delete("/todos/1")

    refused = client.post("/trash/restore?ids=1&max_affected=2")
    assert (refused.status_code, refused.json()["matched"], refused.json()["changed"]) == (409, 1, 3)
    assert ids(client, "/todos") == []
    assert client.post("/trash/restore?ids=1&max_affected=3").json() == {"matched": 1, "changed": 3}


def test_a_todo_comes_back_with_the_subtasks_that_the_same_request_deleted(client: TestClient) -> None:
    top, first, second = chain(client, 3)
    (other,) = make(client, top)
    client.delete(f"/todos/{other}")
    client.delete(f"/todos/{top}")

    assert client.post(f"/trash/{top}/restore").status_code == 200
    assert parents(client) == {top: None, first: top, second: first}
    assert ids(client, "/trash") == [other]
    assert client.post(f"/trash/{other}/restore").json()["parent_id"] == top


def test_a_purge_of_one_leaves_its_subtasks_in_the_trash(client: TestClient) -> None:
    top, below, last = chain(client, 3)
    client.delete(f"/todos/{top}")
    assert client.delete(f"/trash/{below}", headers={"if-match": '"9"'}).status_code == 412
    assert client.delete(f"/trash/{below}?dry_run=true").status_code == 204
    assert client.delete(f"/trash/{below}").status_code == 204

    assert ids(client, "/trash") == [last, top]
    client.post(f"/trash/{top}/restore")
    assert client.post(f"/trash/{last}/restore").json()["parent_id"] is None
    assert client.post("/todos", json={"task": "x"}).json()["id"] == last + 1


def test_what_comes_back_without_its_parent_is_at_the_top_and_stays_there(client: TestClient) -> None:
    top, below, last = chain(client, 3)
    client.delete(f"/todos/{top}")

    assert client.post(f"/trash/{below}/restore").json()["parent_id"] is None
    client.post(f"/trash/{top}/restore")
    assert parents(client) == {top: None, below: None, last: below}


def test_what_comes_back_is_in_the_list_of_its_parent_or_in_none_that_is_gone(client: TestClient) -> None:
    for name in ("Groceries", "Work"):
        client.post("/lists", json={"name": name})
    (top,) = make(client, None, list_id=1)
    below = chain(client, 2, top)
    client.delete(f"/todos/{below[0]}")
    client.patch(f"/todos/{top}", json={"list_id": 2})
    client.post(f"/trash/{below[0]}/restore")
    assert [client.get(f"/todos/{todo}").json()["list_id"] for todo in (top, *below)] == [2, 2, 2]

    assert client.delete("/lists/2?with_todos=true").status_code == 204
    assert ids(client, "/trash") == [*reversed(below), top]
    client.post(f"/trash/{top}/restore")
    assert [client.get(f"/todos/{todo}").json()["list_id"] for todo in (top, *below)] == [None, None, None]
    assert parents(client) == {top: None, below[0]: top, below[1]: below[0]}


def test_what_would_be_too_deep_comes_back_at_the_top_with_what_is_below_it(client: TestClient) -> None:
    tree = chain(client, 4)
    client.delete(f"/todos/{tree[2]}")
    above = chain(client, 5)
    client.patch(f"/todos/{tree[0]}", json={"parent_id": above[-1]})

    client.post(f"/trash/{tree[2]}/restore")
    assert parents(client).items() >= {tree[1]: tree[0], tree[2]: None, tree[3]: tree[2]}.items()
    client.delete(f"/todos/{tree[3]}")
    client.patch(f"/todos/{tree[2]}", json={"parent_id": tree[1]})
    assert client.post(f"/trash/{tree[3]}/restore").json()["parent_id"] is None


def test_of_many_that_come_back_only_those_that_are_too_deep_leave_their_parent(client: TestClient) -> None:
    upper = chain(client, 2)
    lower = chain(client, 3, upper[-1])
    leaf = make(client, lower[-1])
    client.delete(f"/todos/{leaf[0]}")
    client.delete(f"/todos/{lower[0]}")
    above = chain(client, 4)
    client.patch(f"/todos/{upper[0]}", json={"parent_id": above[-1]})

    assert client.post(f"/trash/restore?deleted_after={EVER}").json() == {"matched": 4, "changed": 4}
    back = {lower[0]: None, lower[1]: lower[0], lower[2]: lower[1], leaf[0]: lower[2]}
    assert parents(client).items() >= back.items()


def test_a_restore_undoes_a_delete_of_eleven_thousand(client: TestClient) -> None:
    for _ in range(22):
        client.post("/todos/bulk", json=[{"task": "Buy milk"}] * 500)
    (before,) = client.get("/todos?ids=7777").json()
    gone = client.delete(f"/todos?created_after={EVER}")
    assert gone.json() == {"matched": 11_000, "changed": 11_000}
    assert client.get("/todos?limit=1&count=true").headers["x-total-count"] == "0"

    assert client.post("/trash/restore?q=milk").json() == {"matched": 11_000, "changed": 11_000}
    (after,) = client.get("/todos?ids=7777").json()
    assert after == before | {"version": 2, "updated_at": after["updated_at"]}
    counted = [client.get(f"{path}?limit=1&count=true").headers["x-total-count"] for path in ("/todos", "/trash")]
    assert counted == ["11000", "0"]


def test_postgresql_knows_at_once_how_much_is_in_the_trash(postgresql_backend: PostgreSQL) -> None:
    """Or it would restore them by plans for a trash that is as small as it was, in the square of the time."""

    async def known(url: str) -> float:
        driver = await asyncpg.connect(url)
        try:
            rows: float = await driver.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'deleted_todos'")
            return rows
        finally:
            await driver.close()

    url = postgresql_backend.migrated()
    with in_process(database_url=url) as client:
        for _ in range(3):
            client.post("/todos/bulk", json=[{"task": "Buy milk"}] * 500)
        client.delete(f"/todos?created_after={EVER}")
        assert asyncio.run(known(url)) == 1500


def test_an_id_is_never_given_again_whatever_is_restored_and_purged(client: TestClient) -> None:
    make(client, None, None, None)
    for call in (
        ("DELETE", "/todos/3"),
        ("POST", "/trash/3/restore"),
        ("DELETE", "/todos/3"),
        ("DELETE", "/todos/2"),
        ("DELETE", "/trash/3"),
        ("POST", "/trash/2/restore"),
        ("DELETE", "/todos/2"),
        ("DELETE", f"/trash?deleted_after={EVER}"),
    ):
        assert client.request(*call).status_code in (200, 204)

    assert make(client, None) == [4]


def test_without_a_trash_a_delete_is_for_good(database_url: str) -> None:
    with in_process(database_url=database_url, trash_days=0) as client:
        client.post("/lists", json={"name": "Groceries"})
        make(client, None, None, None)
        chain(client, 2)
        make(client, None, list_id=1)
        assert client.delete("/todos/1").status_code == client.delete("/todos/4").status_code == 204
        assert client.delete("/todos?ids=2").json() == {"matched": 1, "changed": 1}
        assert client.delete("/lists/1?with_todos=true").status_code == 204

        assert ids(client, "/todos") == [3]
        assert client.get("/trash").json() == []
        assert make(client, None) == [7]


def test_a_restore_is_never_asked_for_a_tag(database_url: str) -> None:
    with in_process(database_url=database_url, require_if_match=True) as client:
        make(client, None, None)
        tag = {"if-match": '"1"'}
        assert client.delete("/todos/1").status_code == 428
        assert [client.delete(f"/todos/{todo}", headers=tag).status_code for todo in (1, 2)] == [204, 204]

        assert client.post("/trash/1/restore").status_code == 200
        assert client.post("/trash/restore?ids=2").json() == {"matched": 1, "changed": 1}
        client.delete("/todos/1", headers={"if-match": "*"})
        assert client.delete("/trash/1").status_code == 428
        assert client.delete("/trash?ids=1").status_code == 428


def test_the_trash_is_its_owners_alone_and_goes_with_the_name(database_url: str) -> None:
    alice, bob = as_owner(database_url, "alice"), as_owner(database_url, "bob")
    with in_process(database_url=database_url, auth="token") as client:
        for _ in range(2):
            client.post("/todos", json={"task": "Buy milk"}, headers=alice)
        client.delete("/todos/1", headers=alice)
        for method, path in (("GET", "/trash/1"), ("POST", "/trash/1/restore"), ("DELETE", "/trash/1")):
            assert client.request(method, path, headers=bob).status_code == 404
        for method, path in (("POST", "/trash/restore"), ("DELETE", "/trash")):
            answer = client.request(method, f"{path}?deleted_after={EVER}", headers=bob)
            assert answer.json() == {"matched": 0, "changed": 0}
        assert client.get("/trash", headers=bob).json() == []

        assert "1 deleted_todos" in command(database_url, "owner", "rename", "alice", "carol")
        carol = as_owner(database_url, "carol")
        assert [todo["id"] for todo in client.get("/trash", headers=carol).json()] == [1]
        assert client.post("/trash/1/restore", headers=carol).status_code == 200
