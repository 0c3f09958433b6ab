"""Bounds on the memory that large bodies take: of the requests that arrive, and of the answers that are under way."""

import asyncio
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from todo_api.http.problems import Unavailable

LARGE: Final = 32 * 1024
"""Bytes up to which a body counts for nothing, and waits for nothing."""
PIECE: Final = 16 * 1024
"""Bytes of a large answer that are sent at once, and that an unread connection holds."""
SIZE: Final = 64 * 1024 * 1024
"""Bytes of large bodies in each direction, in one process."""
_M_MMAP_THRESHOLD: Final = -3
"""The name of a setting of glibc, in its malloc.h."""


def give_back_memory() -> None:
    """Have glibc give large blocks back to the system when they are free: it would keep 100 MB after a burst."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


class Room:
    """Memory for large bodies: first come, first served, while small ones go on."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._taken = 0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    async def wait_for(self, size: int, seconds: float) -> None:
        """Wait until a body of so many bytes may come; raises Unavailable after so many seconds."""
        if not self._turn.locked() and self._taken + size <= self._size:
            return
        try:
            async with asyncio.timeout(seconds), self._turn:
                while self._taken + size > self._size:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            raise Unavailable("Many large bodies are under way; try again.") from None

    def check(self) -> None:
        """Raise Unavailable when far more is taken than may be: several have waited at once, and then come together."""
        if self._taken > 2 * self._size:
            raise Unavailable("Many large bodies are under way; try again.")

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
            self._left.set()
