"""The headers of every answer: the name of its request, and what browsers must not do with it."""

import re
from random import getrandbits

from starlette.types import Scope

# Nothing that begins as a token does: the id goes into the log.
_SANE = re.compile(rb"(?!todo_)[A-Za-z0-9._-]{1,128}")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_UNLESS_SET = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # Nobody's copy but the caller's, and that one asked about each time, by If-None-Match.
    (b"cache-control", b"private, no-cache"),
]


OPEN_PATHS = ("/livez", "/readyz")
"""What says nothing of anybody's todos, for whatever watches over the server from another machine."""
DRY_RUN = "todo_api.dry_run"
"""Where the scope of a request says that it is a dry run."""


def new_request_id() -> str:
    return f"{getrandbits(128):032x}"  # no secret, and a tenth of the price of one


def complete(headers: list[tuple[bytes, bytes]], request_id: str) -> None:
    """Add what every answer has to the headers of one."""
    present = {name for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers.extend(_ALWAYS)
    headers.extend(each for each in _UNLESS_SET if each[0] not in present)


def request_id_of(scope: Scope) -> str:
    """The id that a request was sent with, if it is sane; else a new one."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode() if _SANE.fullmatch(sent) else new_request_id()
