"""Cursors: the place where a page begins, and the query that it belongs to, as text for a URL."""

import json
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_SIZE = 16 * 1024
"""Bytes of a cursor when it is unpacked; no query is as long."""


class Cursor(NamedTuple):
    """The query of a list, as a client sent it, and the sort values of the last row of a page."""

    query: Mapping[str, str | list[str]]
    place: list[Any]


def write_cursor(cursor: Cursor) -> str:
    content = json.dumps([cursor.query, *cursor.place], separators=(",", ":"), ensure_ascii=False).encode()
    if len(content) > 512:  # it must fit into a URL
        content = zlib.compress(content)
    return urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """Raises ValueError for what is no cursor."""
    if not re.fullmatch("[A-Za-z0-9_-]+", text):
        raise ValueError("no base64url")
    content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        if not content.startswith(b"["):
            content = zlib.decompressobj().decompress(content, MAX_SIZE)
        query, *place = json.loads(content)
    except (zlib.error, TypeError, RecursionError) as error:
        raise ValueError("no cursor") from error
    if not isinstance(query, dict) or not all(map(_is_sent, query.values())):
        raise ValueError("no query")
    return Cursor(query, place)


def _is_sent(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
