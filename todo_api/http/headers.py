"""The headers of every answer: the name of its request, and what browsers must not do with it."""

import re
from secrets import token_hex
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.logs import log_request

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
    return token_hex(16)


def complete(headers: list[tuple[bytes, bytes]], request_id: str) -> None:
    """Add what every answer has to the headers of one."""
    present = {name for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers.extend(_ALWAYS)
    headers.extend(each for each in _UNLESS_SET if each[0] not in present)


class ResponseHeaders:
    """Gives each request an id, the one it was sent with if that is sane; its answer and its log line have it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        scope["request_id"] = request_id = sent.decode() if _SANE.fullmatch(sent) else new_request_id()
        started, status = perf_counter(), 500  # what the server answers when the application does not

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                complete(message["headers"], request_id)
                if scope.get(DRY_RUN):
                    message["headers"].append((b"x-dry-run", b"true"))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            log_request(scope, status, started)
