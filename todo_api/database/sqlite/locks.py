"""The locks by which SQLite sees who else has a database open."""

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# How many bytes, and from which on, SQLite keeps locked of what it has open in WAL mode: of the file of a database, and
# of the memory that all who use the same write-ahead log share.
OPEN = (510, 0x40000002)
LOGGING = (1, 128)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Have SQLite take another process for a reader of the file; on Linux alone."""
    import fcntl

    if not hasattr(fcntl, "F_OFD_SETLK"):
        yield
        return
    with ExitStack() as stack:
        with suppress(OSError):
            file = stack.enter_context(Path(path).open("rb"))
            # The lock of this open file, and not of this process, which SQLite's own locks would agree with.
            length, start = OPEN
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqq", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0))
        yield


def lock(file: BinaryIO, place: tuple[int, int]) -> bool:
    """Lock so many bytes of a file from one on until it is closed; whether nobody else has locked some of them."""
    import fcntl  # not on Windows, where a file that is open can't be replaced

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *place)
    except OSError:
        return False
    return True
