"""Strict checks beyond the schemas: a request that has too much is refused, and nothing in it is ignored."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from urllib.parse import unquote_plus, unquote_to_bytes

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from todo_api.http.bodies import MAX_BODY_SIZE
from todo_api.http.problem import InvalidValue, did_you_mean
from todo_api.http.problems import HeadTooLarge, Invalid, NotFound, TooLarge

MAX_HEAD_SIZE = 8 * 1024
"""The most bytes that the target and the header fields of a request may have together."""


def check_head(scope: Scope) -> HTTPException | None:
    """Refuse a head that is too large (431)."""
    size = sum(map(len, chain.from_iterable(scope["headers"]))) + len(scope["raw_path"]) + len(scope["query_string"])
    return HeadTooLarge(MAX_HEAD_SIZE) if size > MAX_HEAD_SIZE else None


def check_slashes(scope: Scope) -> HTTPException | None:
    """Refuse a path with an encoded slash: it is no slash (RFC 3986, section 2.2), and the server decodes it."""
    return NotFound("There is nothing here.") if b"%2f" in scope["raw_path"].lower() else None


def check_body(scope: Scope) -> HTTPException | None:
    """Refuse an unknown Transfer-Encoding (400), and a body that declares more bytes than its path takes (413)."""
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" and value.lower() != b"chunked":  # the server decodes chunks alone
            return HTTPException(400, "The only Transfer-Encoding is chunked.")
        # The server has checked that it is a number. Routes are looked at only for a large body.
        if name == b"content-length" and (size := int(value)) > MAX_BODY_SIZE and size > (limit := body_limit(scope)):
            return TooLarge(limit)
    return None


def body_limit(scope: Scope) -> int:
    """The most bytes that a body may have on this path, by any method."""
    routes = [route for route in scope["app"].routes if route.matches(scope)[0] != Match.NONE]
    return max((getattr(route, "body_limit", MAX_BODY_SIZE) for route in routes), default=MAX_BODY_SIZE)


def check_query(request: Request, known: Mapping[str, bool]) -> None:
    """Raise Invalid for a query parameter that is unknown, not UTF-8, or repeated where `known` forbids it."""
    sent: bytes = request.scope["query_string"]
    if not _is_utf8(sent):  # decoding would put U+FFFD there, and search for another text
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


def is_dry_run(request: Request) -> bool:
    """Whether the query says `dry_run=true`; raises Invalid for anything but `true` and `false`."""
    sent = request.query_params.get("dry_run", "false")
    if sent not in ("true", "false", "1", "0"):
        raise Invalid([InvalidValue(pointer="dry_run", detail="must be true or false", code="bool_parsing")])
    return sent in ("true", "1")
