"""Bodies of requests: their media types, and how large they may be."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from todo_api.http.problems import TooLarge, UnsupportedMediaType

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
MAX_BODY_SIZE = 256 * 1024  # the longest todo, with each character as JSON may escape it: \ud83d\ude00
"""Bytes that a body may have, unless its route says more."""


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


def limited(request: Request, limit: int) -> Request:
    """The request, with a body of at most `limit` bytes; raises TooLarge when it declares more."""
    headers = dict(request.scope["headers"])
    if b"transfer-encoding" in headers:
        if headers[b"transfer-encoding"].lower() != b"chunked":  # the server takes off the chunks, and no more
            raise HTTPException(400, "The only Transfer-Encoding is chunked.")
        return Request(request.scope, _count(request.receive, limit))
    if int(headers.get(b"content-length", 0)) > limit:  # the server has checked that it is a number
        raise TooLarge(limit)
    return request


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
