"""CORS (Fetch standard): web pages of other origins may call only when the settings name their origin."""

from collections.abc import Callable
from functools import partial

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from todo_api.http.problem import ProblemResponse


class _Cors(CORSMiddleware):
    """Starlette's CORS, which refuses a preflight with a problem document rather than plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        return ProblemResponse(HTTPException(response.status_code, bytes(response.body).decode()))


def allow(origins: list[str]) -> Callable[[ASGIApp], ASGIApp]:
    """A wrapper that lets web pages of these origins call an application."""
    return partial(
        _Cors,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-Request-Id",
        ],
        expose_headers=[
            "ETag",
            "Idempotency-Replayed",
            "Link",
            "Location",
            "Retry-After",
            "WWW-Authenticate",
            "X-Dry-Run",
            "X-Next-Cursor",
            "X-Request-Id",
            "X-Total-Count",
        ],
    )
