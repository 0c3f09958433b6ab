"""The disk on which a SQLite database is kept."""

import shutil
from pathlib import Path
from typing import Final

from todo_api.logs import logger

ROOM: Final = 256 * 1024
"""Bytes by which the free room must grow before the disk counts as no longer full."""


class Disk:
    """Whether the disk is full: from a write that found no room until there is more room than then."""

    def __init__(self, database: str) -> None:
        self._folder = Path(database).parent
        self._room: int | None = None
        """The bytes that were free when a write found no room."""

    @property
    def is_full(self) -> bool:
        return self._room is not None and self._free() < self._room + ROOM

    def found_full(self) -> None:
        """Remember that there was no room; the log says so once."""
        if not self.is_full:
            logger.error("the disk of %s is full: writes are refused until there is room, reads go on", self._folder)
        self._room = self._free()

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return 0
