"""Strictness beyond the schemas: what a request has too much of is refused, never ignored."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from urllib.parse import unquote_plus, unquote_to_bytes

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.http.methods import JSON, MERGE_PATCH
from todo_api.http.problems import (
    HeadTooLarge,
    Invalid,
    InvalidValue,
    ProblemResponse,
    TooLarge,
    UnsupportedMediaType,
    did_you_mean,
)

MAX_HEAD_SIZE = 8 * 1024
"""Bytes of a request's target and fields at the most."""
MAX_BODY_SIZE = 256 * 1024  # the longest todo, with each character as JSON may escape it: \ud83d\ude00
"""Bytes of a request body at the most."""
LARGER_BODIES = {"/todos/bulk": 1024 * 1024}
"""The same for the paths that take more."""


def check_query(request: Request, known: Mapping[str, bool]) -> None:
    """Raise Invalid for a parameter that is not `known`, not UTF-8, or given twice unless it may be."""
    sent: bytes = request.scope["query_string"]
    if not _is_utf8(sent):  # what is not would be replaced by U+FFFD, and something else be looked for
        parts = [part.partition(b"=")[0].decode("latin-1") for part in sent.split(b"&") if not _is_utf8(part)]
        detail = "must be UTF-8, percent-encoded"
        raise Invalid([InvalidValue(pointer=unquote_plus(name), detail=detail, code="utf_8") for name in parts])
    errors = []
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            detail = f"is not a parameter of this operation{did_you_mean(name, known)}"
            errors.append(InvalidValue(pointer=name, detail=detail, code="unknown_parameter"))
        elif times > 1 and not known[name]:
            errors.append(InvalidValue(pointer=name, detail="may be given once", code="repeated_parameter"))
    if errors:
        raise Invalid(errors)


def _is_utf8(query: bytes) -> bool:
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        return False
    return True


def body_types(method: str) -> tuple[str, ...]:
    """The media types that a body may have."""
    return (JSON, MERGE_PATCH) if method == "PATCH" else (JSON,)


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless there is no body, or one of a type that it may have."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in body_types(request.method) and (sent or _has_content(request)):
        raise UnsupportedMediaType(body_types(request.method), request.method)


def _has_content(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def body_limit(path: str) -> int:
    return LARGER_BODIES.get(path, MAX_BODY_SIZE)


class SizeLimits:
    """Answers 431 to a head that is too large, and 413 to such a body, declared or in chunks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = (
            sum(map(len, chain.from_iterable(scope["headers"]))) + len(scope["raw_path"]) + len(scope["query_string"])
        )
        if head > MAX_HEAD_SIZE:
            await ProblemResponse(HeadTooLarge(MAX_HEAD_SIZE))(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = body_limit(scope["path"])
        if b"transfer-encoding" in headers:
            if headers[b"transfer-encoding"].lower() != b"chunked":  # the server takes off the chunks, and no more
                refusal = HTTPException(400, "The only Transfer-Encoding is chunked.")
                await ProblemResponse(refusal)(scope, receive, send)
                return
            receive = _count(receive, limit)
        elif int(headers.get(b"content-length", 0)) > limit:  # the server has checked that it is a number
            await ProblemResponse(TooLarge(limit))(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _count(receive: Receive, limit: int) -> Receive:
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise TooLarge(limit)
        return message

    return receive_counted
