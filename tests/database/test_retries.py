"""Requests with an Idempotency-Key that are sent again and again, to several processes and to some that are killed."""

import os
import random
import signal
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.databases import Backend
from tests.servers import PATIENCE, at_once, exchange, serving

HELD_BACK = ("uvicorn", "tests.database.held_back:app", "--port", "0")
KILLS = 10
WRITERS = 8


def keyed(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


def is_replay(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    """What of an answer must be the same each time."""
    fields = ("content-type", "location", "etag")
    return answer.status_code, answer.content, *(answer.headers.get(name) for name in fields)


def test_400_creates_with_40_keys_by_16_clients_of_two_processes_make_40_todos(folder: Path, backend: Backend) -> None:
    url = backend.empty()
    keys = [str(number % 40) for number in range(400)]
    random.Random(1).shuffle(keys)  # noqa: S311  # no secret: the same order in each run
    with (
        serving(folder, TODO_DATABASE_URL=url, TODO_URL="http://todo.test") as (_, first),
        serving(folder, TODO_DATABASE_URL=url, TODO_URL="http://todo.test") as (_, second),
        ThreadPoolExecutor(16) as clients,
    ):

        def create(number: int) -> httpx.Response:
            key = keys[number]
            return (first, second)[number % 2].post("/todos", json={"task": f"task {key}"}, headers=keyed(key))

        answers = list(clients.map(create, range(400)))
        todos = first.get("/todos?limit=500").json()

    assert sorted(todo["task"] for todo in todos) == sorted(f"task {key}" for key in set(keys))
    of_key = defaultdict(list)
    for key, answer in zip(keys, answers, strict=True):
        of_key[key].append(answer)
    for same in of_key.values():
        assert len({seen(answer) for answer in same}) == 1
        assert same[0].status_code == 201
        assert sum(not is_replay(answer) for answer in same) == 1


def test_many_at_once_with_one_key_share_a_commit_and_one_of_them_is_done(folder: Path, backend: Backend) -> None:
    """The others find an answer that is not committed yet."""
    with serving(folder, TODO_DATABASE_URL=backend.empty()) as (_, client):
        for key in ("a", "b", "c"):
            answers = at_once(client, [("POST", "/todos", {"task": key})] * 20, keyed(key))

            assert {answer.status_code for answer in answers} == {201}
            assert len({seen(answer) for answer in answers}) == 1
            assert sum(not is_replay(answer) for answer in answers) == 1
        assert len(client.get("/todos").json()) == 3


def test_a_replay_waits_until_the_first_one_is_committed(folder: Path, backend: Backend) -> None:
    url, hold = backend.migrated(), folder / "hold"
    environment = {"TODO_DATABASE_URL": url, "TODO_TEST_HOLD": str(hold), "TODO_URL": "http://todo.test"}
    with (
        serving(folder, *HELD_BACK, **environment) as (_, one),
        serving(folder, *HELD_BACK, **environment) as (_, other),
        ThreadPoolExecutor(3) as threads,
    ):
        hold.touch()
        waiting = [
            threads.submit(client.post, "/todos", json={"task": "new"}, headers=keyed("abc"))
            for client in (one, one, other)
        ]
        assert not any(answer.done() for answer in waiting)
        assert one.get("/todos").json() == other.get("/todos").json() == []
        threading.Event().wait(0.5)  # nothing tells that they wait, but that they are not answered
        assert not any(answer.done() for answer in waiting)
        hold.unlink()
        answers = [answer.result() for answer in waiting]

        assert len({seen(answer) for answer in answers}) == 1
        assert answers[0].status_code == 201
        assert sum(not is_replay(answer) for answer in answers) == 1
        assert [todo["task"] for todo in other.get("/todos").json()] == ["new"]


def test_a_body_that_comes_slowly_holds_up_nobody(folder: Path, backend: Backend) -> None:
    body = b'{"task": "slow"}'
    with serving(folder, TODO_DATABASE_URL=backend.migrated()) as (server, client), server.connect() as slow:
        slow.sendall(
            b"POST /todos HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: abc\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        for number in range(len(body)):  # a byte at a time, and a write of another between two
            slow.sendall(body[number : number + 1])
            assert client.post("/todos", json={"task": "quick"}, headers=keyed(str(number))).status_code == 201
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        again = exchange(
            server,
            b"POST /todos HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: abc\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            *(b"1\r\n%c\r\n" % each for each in body),
            b"0\r\n\r\n",
        )

        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b'"task":"slow"' in answer
        assert b"idempotency-replayed: true" in again  # in chunks, it is the same body
        assert again.rpartition(b"\r\n\r\n")[2] == answer.rpartition(b"\r\n\r\n")[2]
        assert len(client.get("/todos?limit=500").json()) == len(body) + 1


def test_a_body_that_ends_early_changes_nothing_and_uses_up_no_key(folder: Path, sqlite_backend: Backend) -> None:
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        with server.connect() as broken:
            broken.sendall(
                b"POST /todos HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: abc\r\n"
                b'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"task"'
            )
        server.wait_until_said(" POST /todos ")
        assert " POST /todos 400 " in server.output
        assert "Traceback" not in server.output
        created = client.post("/todos", json={"task": "new"}, headers=keyed("abc"))
        assert (created.status_code, is_replay(created)) == (201, False)


STEPS: list[tuple[str, str, Any, dict[str, str], int, int]] = [
    ("POST", "/todos", {"task": "new"}, {}, 201, 1),
    ("PATCH", "/todos/{}", {"priority": 1}, {"if-match": '"1"'}, 200, 0),
    ("POST", "/todos/bulk", [{"task": "many"}] * 500, {}, 201, 500),
    ("DELETE", "/todos?ids={}", None, {}, 200, -1),
    ("DELETE", "/todos/{}", None, {}, 204, -1),
]
"""Requests on a todo, each with its status, and by how many todos there are more then."""


@pytest.mark.slow
def test_what_was_committed_when_the_process_was_killed_before_its_answer_is_answered_by_the_next_one(
    folder: Path, backend: Backend
) -> None:
    url, count = backend.migrated(), 0
    for number in range(KILLS):
        method, path, body, headers, status, more = STEPS[number % len(STEPS)]
        headers = headers | keyed(f"key-{number}")
        with serving(folder, *HELD_BACK, TODO_DATABASE_URL=url) as (server, client):
            path = path.format(client.post("/todos", json={"task": "there"}).json()["id"])
            with pytest.raises(httpx.TransportError):
                client.request(method, path, json=body, headers=headers | {"x-die": "now"})
            assert server.process.wait(PATIENCE) == -signal.SIGKILL
        count += 1 + more
        with serving(folder, TODO_DATABASE_URL=url) as (_, client):
            answers = [client.request(method, path, json=body, headers=headers) for _ in range(2)]

            assert [answer.status_code for answer in answers] == [status, status]
            assert all(is_replay(answer) for answer in answers)
            assert seen(answers[0]) == seen(answers[1])
            assert client.get("/todos?count=true").headers["x-total-count"] == str(count)


class Writer:
    """Creates todos, each with a key of its own, and sends each until it is answered."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.number = 0
        self.answers: dict[str, dict[str, Any]] = {}
        self.replayed = 0

    def run(self, url: str, started: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            while True:
                task = f"{self.name} {self.number}"
                try:
                    answer = client.post("/todos", json={"task": task}, headers=keyed(task.replace(" ", "-")))
                except httpx.TransportError:
                    return  # the server is gone; the next one is sent the same
                assert answer.status_code == 201
                self.answers[task] = answer.json()
                self.replayed += is_replay(answer)
                self.number += 1
                started.set()


@pytest.mark.slow
def test_creates_that_are_sent_again_after_kill_9_are_there_once(folder: Path, backend: Backend) -> None:
    url = backend.empty()
    writers = [Writer(name) for name in range(WRITERS)]
    for _ in range(KILLS):
        with serving(folder, TODO_DATABASE_URL=url) as (server, _), ThreadPoolExecutor(WRITERS) as threads:
            started = threading.Event()
            runs = [threads.submit(writer.run, server.url, started) for writer in writers]
            assert started.wait(PATIENCE)
            threading.Event().wait(0.3)  # under full load
            os.killpg(server.process.pid, signal.SIGKILL)
            for run in runs:
                run.result()
    with serving(folder, TODO_DATABASE_URL=url) as (_, client):
        for writer in writers:  # what each was sending last, once more
            task = f"{writer.name} {writer.number}"
            answer = client.post("/todos", json={"task": task}, headers=keyed(task.replace(" ", "-")))
            writer.answers[task] = answer.json()
        found, path = [], "/todos?limit=500"
        while path:
            page = client.get(path)
            found += page.json()
            path = page.links["next"]["url"] if "next" in page.links else ""

    answered = {task: todo for writer in writers for task, todo in writer.answers.items()}
    assert len(answered) > KILLS * WRITERS
    assert sorted(todo["task"] for todo in found) == sorted(answered)  # each once
    assert {todo["task"]: todo for todo in found} == answered
