"""Strictness beyond the schemas: what a request has too much of is refused, never ignored."""

from collections import Counter
from collections.abc import Mapping
from urllib.parse import unquote_plus, unquote_to_bytes

from fastapi import Request

from todo_api.http.problem import InvalidValue, did_you_mean
from todo_api.http.problems import Invalid


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


def is_dry_run(request: Request) -> bool:
    sent = request.query_params.get("dry_run", "false")
    if sent not in ("true", "false", "1", "0"):
        raise Invalid([InvalidValue(pointer="dry_run", detail="must be true or false", code="bool_parsing")])
    return sent in ("true", "1")
