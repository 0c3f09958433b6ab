"""The trash against its rules in plain Python, whatever is created, deleted, restored and purged."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

EVER = "2000-01-01T00:00:00Z"
MAX_LEVELS = 8

Pick = st.integers(0, 30)
"""Says which todo: of those that there are, in their order, counted round and round."""
Picks = st.lists(Pick, min_size=1, max_size=4)


class Todo:
    """What the model knows of a todo."""

    def __init__(self, parent: int | None, list_id: int | None) -> None:
        self.parent = parent
        self.list = list_id
        self.version = 1
        self.deletion = 0
        """The number of the request that deleted it."""


class Trash(RuleBasedStateMachine):
    def __init__(self, client: TestClient) -> None:
        super().__init__()
        self.client = client
        self.there: dict[int, Todo] = {}
        self.gone: dict[int, Todo] = {}
        self.lists: set[int] = set()
        self.ever = max_id(client)
        self.deletions = 0

    def teardown(self) -> None:
        for method, path in (("DELETE", f"/todos?created_after={EVER}"), ("DELETE", f"/trash?deleted_after={EVER}")):
            assert self.client.request(method, path).status_code == 200
        for each in self.lists:
            assert self.client.delete(f"/lists/{each}").status_code == 204

    def level(self, todo: int | None) -> int:
        return 0 if todo is None else 1 + self.level(self.there[todo].parent)

    def below(self, todos: dict[int, Todo], top: int) -> set[int]:
        """The ids of a todo and of all below it; in the trash, of those that were deleted with it."""
        found = [id_ for id_, each in todos.items() if each.parent == top and each.deletion == todos[top].deletion]
        return {top}.union(*(self.below(todos, child) for child in found))

    def height(self, todos: dict[int, Todo], top: int) -> int:
        found = [id_ for id_, each in todos.items() if each.parent == top and each.deletion == todos[top].deletion]
        return 1 + max((self.height(todos, child) for child in found), default=0)

    def delete_ids(self, ids: set[int]) -> None:
        self.deletions += 1
        for each in ids:
            self.gone[each] = self.there.pop(each)
            self.gone[each].deletion = self.deletions

    def restore_ids(self, chosen: set[int]) -> int:
        """Restore these with what was deleted with them, the last deleted first; how many they are."""
        together = set().union(*(self.below(self.gone, each) for each in chosen))
        back = {each: self.gone.pop(each) for each in sorted(together)}
        for id_, todo in sorted(back.items(), key=lambda pair: -pair[1].deletion):
            parent = back.get(todo.parent) if todo.parent is not None else None
            if id_ not in back or (parent is not None and parent.deletion == todo.deletion):
                continue  # it comes with its parent
            tree = self.below(back, id_)
            if todo.parent not in self.there or self.level(todo.parent) + self.height(back, id_) > MAX_LEVELS:
                todo.parent = None
            list_id = todo.list if todo.list in self.lists else None
            for each in tree:
                back[each].list = list_id if todo.parent is None else self.there[todo.parent].list
                back[each].version += 1
                self.there[each] = back[each]
            for each in tree:
                back[each].deletion = 0
                del back[each]
        assert not back
        return len(together)

    @rule(parent=st.none() | Pick, list_=st.none() | Pick)
    def create(self, parent: int | None, list_: int | None) -> None:
        parent_id = pick(self.there, parent)
        body: dict[str, Any] = {"task": "Buy milk", "parent_id": parent_id}
        list_id = pick(self.lists, list_) if parent_id is None else self.there[parent_id].list
        if parent_id is None:
            body["list_id"] = list_id
        answer = self.client.post("/todos", json=body)
        if self.level(parent_id) == MAX_LEVELS:
            assert answer.status_code == 422
            return
        new = answer.json()["id"]
        assert new > self.ever
        self.ever = new
        self.there[new] = Todo(parent_id, list_id)

    @precondition(lambda self: self.there)
    @rule(which=Pick, length=st.integers(2, 5))
    def create_chain(self, which: int, length: int) -> None:
        """Deep trees do not come about by chance."""
        for _ in range(length):
            self.create(which, None)
            which = sorted(self.there).index(self.ever) if self.ever in self.there else 0

    @precondition(lambda self: len(self.there) > 1)
    @rule(which=Pick, parent=st.none() | Pick)
    def put_below(self, which: int, parent: int | None) -> None:
        todo, parent_id = pick(self.there, which), pick(self.there, parent)
        assert todo is not None
        tree = self.below(self.there, todo)
        answer = self.client.patch(f"/todos/{todo}", json={"parent_id": parent_id})
        is_same = parent_id == self.there[todo].parent
        is_cycle = parent_id in tree
        is_deep = parent_id is not None and self.level(parent_id) + self.height(self.there, todo) > MAX_LEVELS
        if not is_same and (is_cycle or is_deep):
            assert answer.status_code == 422
        elif not is_same:
            assert answer.status_code == 200
            self.there[todo].parent = parent_id
            self.there[todo].version += 1
            if parent_id is not None and self.there[todo].list != self.there[parent_id].list:
                for each in tree:
                    self.there[each].list = self.there[parent_id].list
                    self.there[each].version += each != todo

    @rule()
    def create_list(self) -> None:
        self.lists.add(self.client.post("/lists", json={"name": "Groceries"}).json()["id"])

    @precondition(lambda self: self.lists)
    @rule(which=Pick)
    def delete_list(self, which: int) -> None:
        list_id = pick(self.lists, which)
        assert list_id is not None
        assert self.client.delete(f"/lists/{list_id}?with_todos=true").status_code == 204
        self.lists.remove(list_id)
        self.delete_ids({each for each, todo in self.there.items() if todo.list == list_id})

    @precondition(lambda self: self.there)
    @rule(which=Pick)
    def delete(self, which: int) -> None:
        todo = pick(self.there, which)
        assert todo is not None
        assert self.client.delete(f"/todos/{todo}").status_code == 204
        self.delete_ids(self.below(self.there, todo))

    @precondition(lambda self: self.there)
    @rule(which=Picks)
    def delete_many(self, which: list[int]) -> None:
        chosen = picks(self.there, which)
        goes = set().union(*(self.below(self.there, each) for each in chosen))
        assert self.many("DELETE", "/todos", chosen) == {"matched": len(chosen), "changed": len(goes)}
        self.delete_ids(goes)

    @precondition(lambda self: self.gone)
    @rule(which=Pick)
    def restore(self, which: int) -> None:
        todo = pick(self.gone, which)
        assert todo is not None
        assert self.client.post(f"/trash/{todo}/restore").json()["id"] == todo
        self.restore_ids({todo})

    @precondition(lambda self: self.gone)
    @rule(which=Picks)
    def restore_many(self, which: list[int]) -> None:
        chosen = picks(self.gone, which)
        answer = self.many("POST", "/trash/restore", chosen)
        assert answer == {"matched": len(chosen), "changed": self.restore_ids(chosen)}

    @precondition(lambda self: self.gone)
    @rule()
    def restore_all(self) -> None:
        count = len(self.gone)
        answer = self.client.post(f"/trash/restore?deleted_after={EVER}").json()
        assert answer == {"matched": count, "changed": self.restore_ids(set(self.gone))}

    @precondition(lambda self: self.gone)
    @rule(which=Pick)
    def purge(self, which: int) -> None:
        todo = pick(self.gone, which)
        assert self.client.delete(f"/trash/{todo}").status_code == 204
        del self.gone[todo]  # type: ignore[arg-type]  # there is one

    @precondition(lambda self: self.gone)
    @rule(which=Picks)
    def purge_many(self, which: list[int]) -> None:
        chosen = picks(self.gone, which)
        assert self.many("DELETE", "/trash", chosen) == {"matched": len(chosen), "changed": len(chosen)}
        for each in chosen:
            del self.gone[each]

    def many(self, method: str, path: str, chosen: set[int]) -> Any:
        return self.client.request(method, path, params={"ids": sorted(chosen)}).json()

    @invariant()
    def everything_is_in_its_place(self) -> None:
        found = self.client.get("/todos?limit=500").json()
        assert {each["id"]: (each["parent_id"], each["list_id"], each["version"]) for each in found} == {
            id_: (todo.parent, todo.list, todo.version) for id_, todo in self.there.items()
        }
        in_trash = [each["id"] for each in self.client.get("/trash?limit=500").json()]
        assert in_trash == sorted(self.gone, key=lambda each: (-self.gone[each].deletion, -each))
        for each in in_trash[:1]:
            assert self.client.get(f"/todos/{each}").status_code == 404
        for each in list(self.there)[:1]:
            assert self.client.get(f"/trash/{each}").status_code == 404


def max_id(client: TestClient) -> int:
    made: int = client.post("/todos", json={"task": "x"}).json()["id"]
    assert client.delete(f"/todos/{made}").status_code == client.delete(f"/trash/{made}").status_code == 204
    return made


def pick(ids: Any, which: int | None) -> int | None:
    return sorted(ids)[which % len(ids)] if ids and which is not None else None


def picks(ids: Any, which: list[int]) -> set[int]:
    return {sorted(ids)[each % len(ids)] for each in which}


def run(client: TestClient, examples: int) -> None:
    run_state_machine_as_test(
        lambda: Trash(client),  # type: ignore[arg-type]  # what makes one will do as well
        settings=settings(
            max_examples=examples,
            phases=[Phase.generate],  # to shrink what fails takes longer than to read it
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_trash_keeps_its_rules_whatever_is_done(client: TestClient) -> None:
    run(client, 6)


@pytest.mark.slow
def test_the_trash_keeps_its_rules_whatever_is_done_for_long(client: TestClient) -> None:
    run(client, 30)
