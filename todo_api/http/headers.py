"""The headers of every answer: the id of its request, and the security headers for browsers."""

import re
from random import getrandbits

from starlette.types import Scope

# Never the start of a token, `todo_`: the id goes into the log.
_SANE = re.compile(rb"(?!todo_)[A-Za-z0-9._-]{1,128}")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_UNLESS_SET = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # Only the caller may keep a copy, and must ask with If-None-Match before using it.
    (b"cache-control", b"private, no-cache"),
]


OPEN_PATHS = ("/livez", "/readyz")
"""The health checks. They show no todos, so that a monitor on another machine may call them."""
DRY_RUN = "todo_api.dry_run"
"""The key in a request's scope that is true for a dry run."""


def new_request_id() -> str:
    return f"{getrandbits(128):032x}"  # no secret, so the fast generator will do


def complete(headers: list[tuple[bytes, bytes]], request_id: str) -> None:
    """Add the headers that every answer has."""
    present = {name for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers.extend(_ALWAYS)
    headers.extend(each for each in _UNLESS_SET if each[0] not in present)


def request_id_of(scope: Scope) -> str:
    """The `X-Request-Id` of the request if it is safe to log, otherwise a new id."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode() if _SANE.fullmatch(sent) else new_request_id()
