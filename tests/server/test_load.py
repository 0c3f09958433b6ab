"""Far more clients than connections to the database, some of whom vanish: the server never stops."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.databases import Backend
from tests.servers import PATIENCE, Server, serving

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("TODO_TEST_LOAD_SECONDS", "6"))
TODOS = 50


class Load:
    """Clients that read and write at random, and what they were answered."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.url)
        self._host, self._port = address.hostname, address.port
        self.statuses: Counter[int] = Counter()
        self.refusals_without_retry_after = 0
        self.vanished = 0
        self.per_second: list[int] = []

    async def run(self, clients: int, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        # Seeded, so that each run asks the same.
        dice = [random.Random(number) for number in range(clients)]  # noqa: S311  # no secret
        tasks = [asyncio.create_task(self._client(each, until)) for each in dice]
        watch = asyncio.create_task(self._watch())
        async with asyncio.timeout(seconds + PATIENCE):
            await asyncio.gather(*tasks)
        watch.cancel()

    async def _watch(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(1)
            self.per_second.append(self.statuses.total() - before)
            before = self.statuses.total()

    async def _client(self, choose: random.Random, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            while loop.time() < until:
                request = self._request(choose)
                if choose.random() < 0.02:  # vanishes in the middle of its request, or before the answer
                    writer.write(request[: choose.randrange(len(request) + 1)])
                    await writer.drain()
                    self.vanished += 1
                    break
                writer.write(request)
                await self._answer(reader)
            writer.close()

    def _request(self, choose: random.Random) -> bytes:
        todo = choose.randrange(TODOS) + 1
        kind = choose.random()
        if kind < 0.5:
            return f"GET /todos/{todo} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        if kind < 0.6:
            return b"GET /todos?limit=20 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        method, path, body = ("PUT", f"/todos/{todo}", '{"complete": true}')
        if kind > 0.9:
            method, path, body = "POST", "/todos", '{"task": "Buy milk"}'
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.statuses[status] += 1
        if status == 503 and b"\r\nretry-after:" not in head:
            self.refusals_without_retry_after += 1


async def settle(process: psutil.Process, files: int) -> None:
    """Wait until the server has closed what its clients left."""
    async with asyncio.timeout(PATIENCE):
        while process.num_fds() > files:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("clients", [64, 256, 1000])
def test_the_server_never_stops_and_ends_as_it_began(folder: Path, backend: Backend, clients: int) -> None:
    environment = {"TODO_DATABASE_URL": backend.migrated(), "TODO_LOG_LEVEL": "warning"}
    with serving(folder, **environment) as (server, client):
        for _ in range(TODOS):
            client.post("/todos", json={"task": "Buy milk"})
        process = psutil.Process(server.process.pid)
        files = process.num_fds() + 10  # the pool of connections

        asyncio.run(Load(server).run(clients, 2))  # what the server takes once and keeps
        asyncio.run(settle(process, files))
        memory = process.memory_info().rss
        load = Load(server)
        asyncio.run(load.run(clients, SECONDS))
        asyncio.run(settle(process, files))

        print(clients, dict(load.statuses), load.vanished, load.per_second, (process.memory_info().rss - memory) >> 20)
        assert set(load.statuses) <= {200, 201, 503}
        assert load.refusals_without_retry_after == 0
        assert load.vanished
        assert min(load.per_second) > 0
        assert process.memory_info().rss < memory + 32 * 2**20
        for _ in range(50):
            assert client.put("/todos/1", json={"complete": True}).status_code == 200
        assert "Traceback" not in server.output
