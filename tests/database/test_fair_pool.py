"""The pool of connections: who waits is served in turn, or told that there is nothing to wait for."""

import asyncio
import socket

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util.queue import Empty

from tests.servers import PATIENCE
from todo_api.database.fair_pool import FairPool, _FairQueue


def test_all_who_wait_are_told_when_no_connection_can_be_opened() -> None:
    async def connect_at_once(port: int) -> list[BaseException | None]:
        url = f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none"
        engine = create_async_engine(url, poolclass=FairPool, pool_size=1, max_overflow=0)

        async def connect() -> None:
            async with engine.connect():
                raise AssertionError("nobody listens there")

        async with asyncio.timeout(PATIENCE):
            ended = await asyncio.gather(*(connect() for _ in range(4)), return_exceptions=True)
        await engine.dispose()
        return ended

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert all(isinstance(each, OSError) for each in asyncio.run(connect_at_once(port)))


def test_who_gives_up_when_it_is_woken_wakes_the_next_one() -> None:
    async def work() -> list[BaseException | None]:
        queue = _FairQueue(1)
        waiting = [asyncio.create_task(queue._wait()) for _ in range(2)]
        await asyncio.sleep(0)  # both wait
        queue.wake()
        waiting[0].cancel()
        async with asyncio.timeout(PATIENCE):
            ended: list[BaseException | None] = await asyncio.gather(*waiting, return_exceptions=True)
        return ended

    assert [type(each) for each in asyncio.run(work())] == [asyncio.CancelledError, Empty]
