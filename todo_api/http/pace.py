"""A burst of requests is spread over rounds of the event loop, so that what comes meanwhile is answered in between."""

import asyncio
from asyncio import Future
from collections import deque
from time import monotonic
from typing import Final

ROUND: Final = 0.01
"""Seconds in which requests begin. Then the loop looks for new ones, and the others wait, first come, first served."""
QUIET: Final = 4
"""Times that the loop looks in vain before a request begins again: to accept a client takes some of them."""
LOOKS: Final = 256
"""Times that it looks at the most."""


class Pace:
    """When requests begin. One that has waited for so many seconds is not to begin any more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = 0.0
        """When the first request of this round began."""
        self._waiting: deque[tuple[float, Future[bool]]] = deque()
        """When each began to wait, and whether it may begin."""
        self._looks = self._quiet = 0

    async def turn(self) -> bool:
        """Wait until a request may begin; most begin at once. False when it has waited too long."""
        self._quiet = 0
        if not self._began:
            self._begin()
        elif self._waiting or self._looks or monotonic() - self._began > ROUND:
            turn: Future[bool] = asyncio.get_running_loop().create_future()
            self._waiting.append((monotonic(), turn))
            return await turn
        return True

    def _begin(self) -> None:
        self._began = monotonic()
        self._looks = 0
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """After a long round, look for what else there is to do; then let one request begin that waits."""
        is_long = self._waiting or monotonic() - self._began > ROUND
        if is_long and self._quiet < QUIET and self._looks < LOOKS:
            self._looks += 1
            self._quiet += 1
            asyncio.get_running_loop().call_soon(self._look)
            return
        self._began = 0.0
        while self._waiting:  # one at a time: nobody knows how much there is to do for it
            since, turn = self._waiting.popleft()
            is_late = monotonic() - since > self._seconds
            if not turn.done():
                turn.set_result(not is_late)
                if not is_late:
                    self._begin()
                    return
