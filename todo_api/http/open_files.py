"""The limit of open files, which bounds the connections of a process."""

import sys
from typing import Final, NamedTuple

ROOM: Final = 48
"""Files that are left for the database, the log and Python itself."""
SPARE: Final = 500
"""Files that are wanted beside the connections: for those, and for connections that are refused in words."""


class Bounds(NamedTuple):
    """How many connections a process serves, and how many it has open while it refuses further ones in words."""

    served: int
    open: int


def bounds(wanted: int) -> Bounds:
    """Raise the limit of this process as far as the system lets it, and keep the connections below it."""
    if sys.platform == "win32":
        return Bounds(wanted, 2 * wanted)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + SPARE:
        soft = wanted + SPARE if hard == resource.RLIM_INFINITY else min(wanted + SPARE, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return Bounds(wanted, 2 * wanted)
    possible = max(soft - ROOM, 2)
    served = possible - min(SPARE - ROOM, possible // 4)
    return Bounds(min(wanted, served), min(2 * wanted, possible))
