"""Subtasks: trees of todos, which are in one list, move as a whole and are deleted as a whole."""

import random
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.applications import as_owner, in_process

MAX_LEVELS = 8


@pytest.fixture
def tree(client: TestClient) -> TestClient:
    """A client with the lists 1 and 2, and in list 1 the todo 1, below it 2 and 3, below 2 the todo 4; 5 is in none."""
    for name in ("Groceries", "Work"):
        client.post("/lists", json={"name": name})
    for parent, list_id in ((None, 1), (1, 1), (1, 1), (2, 1), (None, None)):
        assert client.post("/todos", json={"task": "x", "parent_id": parent, "list_id": list_id}).status_code == 201
    return client


def members(client: TestClient, name: str) -> dict[int, Any]:
    """A member of each todo, by the id."""
    return {todo["id"]: todo[name] for todo in client.get("/todos?limit=500").json()}


def refusal(answer: Any) -> tuple[int, str, str]:
    """The status, the pointer and the code of the only error."""
    (error,) = answer.json()["errors"]
    return answer.status_code, error["pointer"], error["code"]


def test_a_subtask_is_a_todo_below_another_in_the_same_list(tree: TestClient) -> None:
    made = tree.post("/todos", json={"task": "x", "parent_id": 4})

    assert made.json().items() >= {"id": 6, "parent_id": 4, "list_id": 1}.items()
    assert [todo["id"] for todo in tree.get("/todos?parent_id=1").json()] == [2, 3]
    assert [todo["id"] for todo in tree.get("/todos?has_parent=false").json()] == [1, 5]
    assert [todo["id"] for todo in tree.get("/todos?has_parent=true&sort=-id").json()] == [6, 4, 3, 2]
    assert tree.get("/todos?parent_id=99").json() == []
    tree.post("/todos/3/move", json={"before": 2})
    assert [todo["id"] for todo in tree.get("/todos?parent_id=1&sort=position").json()] == [3, 2]
    assert tree.patch("/todos/1", json={"complete": True}).status_code == 200
    assert members(tree, "complete") == {1: True, 2: False, 3: False, 4: False, 5: False, 6: False}


@pytest.mark.parametrize(
    ("todo", "body", "pointer", "code"),
    [
        (1, {"parent_id": 99}, "/parent_id", "no_such_todo"),
        (1, {"parent_id": 1}, "/parent_id", "cycle"),
        (1, {"parent_id": 4}, "/parent_id", "cycle"),
        (2, {"list_id": 2}, "/list_id", "list_of_parent"),
        (2, {"list_id": None}, "/list_id", "list_of_parent"),
        (5, {"parent_id": 1, "list_id": 2}, "/list_id", "list_of_parent"),
        (5, {"parent_id": 1, "list_id": None}, "/list_id", "list_of_parent"),
        (2, {"parent_id": None, "list_id": 99}, "/list_id", "no_such_list"),
    ],
    ids=str,
)
def test_a_place_that_a_todo_cannot_have_is_refused(
    tree: TestClient, todo: int, body: dict[str, Any], pointer: str, code: str
) -> None:
    before = tree.get("/todos").json()
    for answer in (
        tree.patch(f"/todos/{todo}", json=body),
        tree.put(f"/todos/{todo}", json={"task": "y", **body}),
        tree.patch(f"/todos?ids={todo}", json={"task": "y", **body}),
    ):
        assert refusal(answer) == (422, pointer, code)
    if code in ("list_of_parent", "cycle"):
        assert f"(todo {todo})" in answer.json()["errors"][0]["detail"]
    assert tree.get("/todos").json() == before


def test_a_new_todo_takes_no_place_that_it_cannot_have(tree: TestClient) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"parent_id": 99}, "parent_id", "no_such_todo"),
        ({"parent_id": 1, "list_id": 2}, "list_id", "list_of_parent"),
        ({"parent_id": 1, "list_id": None}, "list_id", "list_of_parent"),
    ]
    for body, member, code in wrong:
        assert refusal(tree.post("/todos", json={"task": "x", **body})) == (422, f"/{member}", code)
    many = tree.post("/todos/bulk", json=[{"task": "x", "parent_id": 1}, *({"task": "x", **each[0]} for each in wrong)])
    assert [(error["pointer"], error["code"]) for error in many.json()["errors"]] == [
        (f"/{number}/{member}", code) for number, (_, member, code) in enumerate(wrong, 1)
    ]
    assert len(members(tree, "id")) == 5
    made = tree.post("/todos/bulk", json=[{"task": "x", "parent_id": 4}, {"task": "x", "parent_id": 5}]).json()
    assert [todo["list_id"] for todo in made] == [1, None]


def test_a_tree_has_at_most_eight_levels(client: TestClient) -> None:
    for parent in (None, *range(1, MAX_LEVELS)):
        assert client.post("/todos", json={"task": "x", "parent_id": parent}).status_code == 201
    too_deep = (422, "/parent_id", "too_deep")

    assert refusal(client.post("/todos", json={"task": "x", "parent_id": MAX_LEVELS})) == too_deep
    assert refusal(client.post("/todos/bulk", json=[{"task": "x", "parent_id": 8}]))[1:] == ("/0/parent_id", "too_deep")
    client.post("/todos/bulk", json=[{"task": "two"}, {"task": "levels"}])  # 9 and 10
    client.patch("/todos/10", json={"parent_id": 9})
    for path in ("/todos/9", "/todos?ids=9"):
        assert refusal(client.patch(path, json={"parent_id": 7})) == too_deep
    assert client.patch("/todos/9", json={"parent_id": 6}).status_code == 200
    # Both of a parent and its subtask go below 7, side by side.
    assert client.patch("/todos?ids=9&ids=10", json={"parent_id": 7}).json() == {"matched": 2, "changed": 2}


def test_what_is_below_a_todo_follows_it_to_another_list(tree: TestClient) -> None:
    versions = members(tree, "version")
    moved = tree.patch("/todos/1", json={"list_id": 2})

    assert moved.json().items() >= {"list_id": 2, "version": 2}.items()
    assert members(tree, "list_id") == {1: 2, 2: 2, 3: 2, 4: 2, 5: None}
    assert members(tree, "version") == {todo: version + (todo != 5) for todo, version in versions.items()}
    assert tree.patch("/todos/2", json={"parent_id": 5}).json().items() >= {"parent_id": 5, "list_id": None}.items()
    assert members(tree, "list_id") == {1: 2, 2: None, 3: 2, 4: None, 5: None}
    assert tree.patch("/todos/2", json={"parent_id": None, "list_id": 1}).status_code == 200
    assert members(tree, "list_id") == {1: 2, 2: 1, 3: 2, 4: 1, 5: None}
    assert tree.patch("/todos/2", json={"parent_id": 1, "list_id": 2}).status_code == 200
    assert members(tree, "list_id") == {1: 2, 2: 2, 3: 2, 4: 2, 5: None}


def test_a_whole_answer_may_be_sent_back(tree: TestClient) -> None:
    todo = tree.get("/todos/2").json()

    assert tree.put("/todos/2", json=todo | {"task": "y"}).json()["version"] == 2


def test_a_change_of_many_moves_whole_trees_to_another_list(tree: TestClient) -> None:
    # One that does not match follows, and is counted as changed.
    assert tree.patch("/todos?ids=1&ids=5", json={"list_id": 2}).json() == {"matched": 2, "changed": 5}
    assert set(members(tree, "list_id").values()) == {2}
    assert tree.patch("/todos?list_id=2", json={"list_id": 1}).json() == {"matched": 5, "changed": 5}
    before = tree.get("/todos").json()
    refused = tree.patch("/todos?ids=1&ids=3&ids=4&max_affected=3", json={"list_id": 2})
    assert (refused.status_code, refused.json()["matched"], refused.json()["changed"]) == (409, 3, 4)
    refused = tree.patch("/todos?ids=1&max_affected=0", json={"list_id": None})
    assert (refused.status_code, refused.json()["matched"], refused.json()["changed"]) == (409, 1, 4)
    refused = tree.patch("/todos?ids=3&ids=4", json={"list_id": 2})
    assert refusal(refused) == (422, "/list_id", "list_of_parent")
    assert "(todo 3)" in refused.json()["errors"][0]["detail"]
    assert tree.get("/todos").json() == before
    assert tree.patch("/todos?ids=2", json={"parent_id": 5, "list_id": 1}).json() == {"matched": 1, "changed": 1}
    assert tree.patch("/todos?ids=2&ids=5", json={"list_id": None}).json() == {"matched": 2, "changed": 3}
    assert tree.patch("/todos?ids=2&ids=4", json={"parent_id": None}).json() == {"matched": 2, "changed": 2}
    assert members(tree, "parent_id") == {1: None, 2: None, 3: 1, 4: None, 5: None}
    assert refusal(tree.patch("/todos?ids=3", json={"list_id": 99})) == (422, "/list_id", "no_such_list")


def test_each_todo_that_moves_to_another_list_is_changed_once(tree: TestClient) -> None:
    assert tree.patch("/todos?ids=1&ids=3&ids=4", json={"list_id": 2}).json() == {"matched": 3, "changed": 4}
    assert members(tree, "version") == {1: 2, 2: 2, 3: 2, 4: 2, 5: 1}


def test_a_filter_by_time_finds_nothing_more_because_others_follow(tree: TestClient) -> None:
    later = tree.patch("/todos/1", json={"task": "later"}).json()["updated_at"]
    tree.patch("/todos/1", json={"task": "latest"})

    assert tree.patch(f"/todos?updated_after={later}", json={"list_id": 2, "priority": 3}).json() == {
        "matched": 1,
        "changed": 4,
    }
    assert members(tree, "priority") == {1: 3, 2: 0, 3: 0, 4: 0, 5: 0}


def test_a_todo_is_deleted_with_all_that_is_below_it(tree: TestClient) -> None:
    assert tree.delete("/todos/2?dry_run=true").status_code == 204
    assert tree.delete("/todos/2", headers={"if-match": '"1"'}).status_code == 204
    assert [tree.get(f"/todos/{number}").status_code for number in range(1, 6)] == [200, 404, 200, 404, 200]
    assert tree.post("/todos", json={"task": "x"}).json()["id"] == 6


def test_a_delete_of_many_counts_what_goes_along(tree: TestClient) -> None:
    for query, matched, changed in (("ids=1&max_affected=3", 1, 4), ("ids=1&ids=2&max_affected=1", 2, 4)):
        refused = tree.delete(f"/todos?{query}")
        assert refused.status_code == 409
        assert refused.json().items() >= {"matched": matched, "changed": changed}.items()
    assert len(members(tree, "id")) == 5
    assert tree.delete("/todos?ids=1&ids=4&max_affected=4").json() == {"matched": 2, "changed": 4}
    assert members(tree, "id") == {5: 5}


def test_very_many_subtasks_have_the_time_of_a_change_of_many(database_url: str) -> None:
    with in_process(database_url=database_url) as client:
        lists = [client.post("/lists", json={"name": "Home"}).json()["id"] for _ in range(2)]
        tops = [client.post("/todos", json={"task": "x", "list_id": lists[0]}).json()["id"] for _ in range(2)]
        for top, times in zip(tops, (3, 1), strict=True):
            for _ in range(times):
                client.post("/todos/bulk", json=[{"task": "y", "parent_id": top}] * 500)
        everything = {"x-total-count": "2002"}
        with in_process(database_url=database_url, bulk_timeout=0.001) as hurried:
            for method, body in (("DELETE", None), ("PATCH", {"list_id": lists[1]}), ("PUT", {"list_id": None})):
                refused = hurried.request(method, f"/todos/{tops[0]}", json=body)
                assert (refused.status_code, refused.json()["type"]) == (409, "/problems/too-many-affected")
                assert "retry-after" not in refused.headers
                found = hurried.get(f"/todos?list_id={lists[0]}&limit=1&count=true")
                assert found.headers.items() >= everything.items()
            assert hurried.patch(f"/todos/{tops[1]}", json={"list_id": lists[1]}).status_code == 200
            assert hurried.delete(f"/todos/{tops[1]}").status_code == 204
            assert client.delete(f"/todos/{tops[0]}", headers={"idempotency-key": "one"}).status_code == 204
            assert hurried.post(f"/trash/{tops[0]}/restore").status_code == 409
            assert client.get("/trash?limit=1&count=true").headers.items() >= everything.items()
        assert client.delete(f"/todos/{tops[0]}", headers={"idempotency-key": "one"}).status_code == 204
        assert client.post(f"/trash/{tops[0]}/restore").json()["version"] == 2
        assert client.get("/todos?limit=1&count=true").headers["x-total-count"] == "1501"


def test_another_owners_todo_is_no_parent(database_url: str) -> None:
    with in_process(database_url=database_url, auth="token") as client:
        alice, bob = as_owner(database_url, "alice"), as_owner(database_url, "bob")
        for caller in (alice, bob):
            client.post("/todos", json={"task": "x"}, headers=caller)
        for method, path in (("POST", "/todos"), ("PATCH", "/todos/2"), ("PATCH", "/todos?ids=2")):
            theirs, unknown = (
                client.request(method, path, json={"task": "y", "parent_id": number}, headers=bob) for number in (1, 99)
            )
            assert refusal(theirs) == (422, "/parent_id", "no_such_todo")
            assert theirs.content == unknown.content
        assert client.get("/todos?parent_id=1", headers=bob).json() == []


class Model:
    """The rules, in plain Python."""

    def __init__(self) -> None:
        self.parent: dict[int, int | None] = {}
        self.list: dict[int, int | None] = {}

    def below(self, todo: int) -> set[int]:
        found = {child for child, parent in self.parent.items() if parent == todo}
        return found.union(*(self.below(child) for child in found))

    def levels(self, todo: int | None) -> int:
        return 0 if todo is None else 1 + self.levels(self.parent[todo])

    def change(self, ids: set[int], body: dict[str, Any]) -> bool:
        """Change these todos, unless that would break a rule; whether it was done."""
        before = dict(self.parent), dict(self.list)
        for todo in ids:
            self.parent[todo] = body.get("parent_id", self.parent[todo])
        parent = body.get("parent_id")
        if parent is not None and (parent not in self.list or self._is_cycle()):
            self.parent, self.list = before
            return False
        target = body.get("list_id", self.list[parent] if parent is not None else ())
        if target != ():
            for todo in ids:
                for each in {todo, *self.below(todo)}:
                    self.list[each] = target
        is_right = all(up is None or self.list[up] == self.list[todo] for todo, up in self.parent.items())
        if not is_right or any(self.levels(todo) > MAX_LEVELS for todo in self.parent):
            self.parent, self.list = before
            return False
        return True

    def _is_cycle(self) -> bool:
        for todo in self.parent:
            seen, up = {todo}, self.parent[todo]
            while up is not None:
                if up in seen:
                    return True
                seen.add(up)
                up = self.parent[up]
        return False


@pytest.mark.parametrize("seed", range(6))
def test_trees_are_as_the_rules_say_whatever_is_done(client: TestClient, seed: int) -> None:
    dice, model = random.Random(seed), Model()  # noqa: S311  # the same moves each time, no secret
    lists = [None, *(client.post("/lists", json={"name": "x"}).json()["id"] for _ in range(2))]
    done = refused = 0
    for _ in range(160):
        ids = [*model.list]
        body: dict[str, Any] = {}
        if dice.random() < 0.5:
            body["list_id"] = dice.choice(lists)
        if dice.random() < 0.7:
            body["parent_id"] = dice.choice([None, *ids[-12:]])
        chosen = set(dice.sample(ids, min(len(ids), dice.choice((1, 2, 3)))))
        many = "&".join(f"ids={todo}" for todo in chosen)
        match dice.choice(("create", "create", "one", "one", "many", "many", "delete") if ids else ("create",)):
            case "create":
                answer = client.post("/todos", json={"task": "x", **body})
                new = max(ids, default=0) + 1 if answer.status_code != 201 else answer.json()["id"]
                model.parent[new], model.list[new] = None, None
                if not (is_done := model.change({new}, body)):
                    del model.parent[new], model.list[new]
            case "one":
                (todo, *_) = chosen
                answer = client.patch(f"/todos/{todo}", json=body)
                is_done = model.change({todo}, body)
            case "many":
                answer = client.patch(f"/todos?{many}", json=body)
                is_done = model.change(chosen, body)
            case _:
                if dice.random() < 0.6:
                    continue
                answer = client.delete(f"/todos?{many}")
                is_done, gone = True, chosen.union(*(model.below(todo) for todo in chosen))
                assert answer.json() == {"matched": len(chosen), "changed": len(gone)}
                for todo in gone:
                    del model.parent[todo], model.list[todo]
        done, refused = done + is_done, refused + (not is_done)

        assert (answer.status_code < 300) is is_done, (body, answer.text)
        assert answer.status_code in (200, 201, 422)
        assert members(client, "parent_id") == model.parent
        assert members(client, "list_id") == model.list
    assert done > 60
    assert refused > 5
