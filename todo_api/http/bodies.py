"""Bodies of requests: their media types, and how large they may be."""

from collections.abc import Sequence
from email.message import Message

from fastapi import Request
from starlette.types import Message as Received
from starlette.types import Receive

from todo_api.http.json import StrictJsonRequest
from todo_api.http.problems import Malformed, TooLarge, UnsupportedCoding, UnsupportedMediaType

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
_USUAL = [(b"content-type", JSON.encode())]
MAX_BODY_SIZE = 256 * 1024  # the longest todo, with each character as JSON may escape it: \ud83d\ude00
"""Bytes that a body may have, unless its route says more."""


def check_media_type(request: Request, types: Sequence[str]) -> None:
    """Raise UnsupportedMediaType unless there is no body, or one of a type and a coding that it may have."""
    sent = [(name, value) for name, value in request.scope["headers"] if name in (b"content-type", b"content-encoding")]
    if sent == _USUAL:
        return
    fields = Message()
    for name, value in sent:
        fields[name.decode()] = value.decode("latin-1")
    if len(fields.get_all("content-type", [])) > 1:
        raise Malformed("Send one Content-Type.")
    if fields.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise UnsupportedCoding
    has_content = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if "content-type" not in fields:
        if has_content:
            raise UnsupportedMediaType(types, request.method)
    elif fields.get_content_type() not in types or fields.get_content_charset("utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(types, request.method)


def read_strictly(request: Request, limit: int) -> Request:
    """The request, whose body is read as strict JSON, and may have at most `limit` bytes when it comes in chunks."""
    is_chunked = "transfer-encoding" in request.headers  # the gate has looked at a declared size
    return StrictJsonRequest(request.scope, _count(request.receive, limit) if is_chunked else request.receive)


def size_of_body(request: Request, limit: int) -> int:
    """The bytes that the body has, or may have when it comes in chunks."""
    return limit if "transfer-encoding" in request.headers else int(request.headers.get("content-length", "0"))


def _count(receive: Receive, limit: int) -> Receive:
    total = 0

    async def receive_counted() -> Received:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise TooLarge(limit)
        return message

    return receive_counted
