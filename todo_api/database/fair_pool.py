"""A pool of connections that serves those who wait in their order.

SQLAlchemy's lets a request that has just come take a connection before the one that was woken for it, which then waits
behind all others: with 1,000 clients one request in ten waited until its time-out.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Literal

from sqlalchemy import AsyncAdaptedQueuePool, exc
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty


class _FairQueue(AsyncAdaptedQueue[Any]):
    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def put_nowait(self, item: Any) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(item)
                return
        super().put_nowait(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """There is no time-out here: the request has one."""
        try:
            return self.get_nowait()
        except Empty:
            if not block:
                raise
        return await_(self._wait())

    def wake(self) -> None:
        """Have the first who waits see for itself, as there is room for a connection that none was made for."""
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_exception(Empty())
                return

    async def _wait(self) -> Any:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came too late: the next one takes it
                if turn.exception() is None:
                    self.put_nowait(turn.result())
                else:
                    self.wake()
            raise


class FairPool(AsyncAdaptedQueuePool):
    _queue_class = _FairQueue
    _sqla_logger_namespace = "sqlalchemy.pool"
    _pool: _FairQueue

    def _do_get(self) -> ConnectionPoolEntry:
        while True:
            # When woken, and another one was quicker: wait again.
            with suppress(exc.TimeoutError):
                return super()._do_get()

    def _dec_overflow(self) -> Literal[True]:
        """There is a connection less: one was closed, or could not be opened."""
        super()._dec_overflow()
        self._pool.wake()
        return True
