"""A database file that is overwritten while it is served, as by `cp backup.db todo.db`: the same file, another content.

In WAL mode SQLite writes to the file in checkpoints alone, and notes them in the memory that all processes share. When
the file was modified since the last look and no checkpoint was noted, somebody else wrote to it. It can't be noticed
when another process made a checkpoint, or began the log anew, since the last look of this one.
"""

import os
from contextlib import suppress
from struct import Struct
from threading import Lock
from typing import Final, NamedTuple

_HEADER: Final = Struct("32x 8s 56x I 28x I")
"""The members of Checkpoint in the header of the write-ahead log's index."""


class Overwriting:
    """Looks whether others than SQLite wrote to the file."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._index: int | None = None
        """The index of the log, opened once: to close it takes SQLite's locks on it from this process."""
        self._inode: tuple[int, int] | None = None
        self.checkpoint: Checkpoint | None = None
        """As of the last look; it must be read before the file is looked at."""
        self.modified: int | None = None
        """When the file was modified, as of the last look."""

    def begin(self, path: str, index: str) -> None:
        """Look from now on, unless that was begun with the same index."""
        with suppress(OSError):
            status = os.stat(index)  # noqa: PTH116  # as in file.py
            if self._inode != (status.st_dev, status.st_ino):
                self.end()
                self._index = os.open(index, os.O_RDONLY)
                self._inode = status.st_dev, status.st_ino
                self.was_noted(path)

    def end(self) -> None:
        """Forget what was seen; SQLite has nothing open any more, or another index."""
        if self._index is not None:
            os.close(self._index)
        self._index = self._inode = self.checkpoint = self.modified = None

    def was_noted(self, path: str) -> bool:
        """Whether SQLite may have modified the file since the last look."""
        with self._lock, suppress(OSError):
            # Read before the time of the file: a checkpoint that begins in between is seen next time.
            before, now = self.checkpoint, self.read()
            modified = os.stat(path).st_mtime_ns  # noqa: PTH116  # as in file.py
            if modified == self.modified:
                return True  # another thread has looked
            self.checkpoint, self.modified = now, modified
            return before is None or now is None or now != before or now.attempted > now.written
        return True

    def read(self) -> "Checkpoint | None":
        """The checkpoints up to now: 1 µs."""
        header = b"" if self._index is None else os.pread(self._index, _HEADER.size, 0)
        return Checkpoint._make(_HEADER.unpack(header)) if len(header) == _HEADER.size else None


class Checkpoint(NamedTuple):
    """How far the log was written to the file."""

    salts: bytes
    """They change when the log begins anew."""
    written: int
    """How much of the log is in the file."""
    attempted: int
    """How much of the log is being written to the file."""
