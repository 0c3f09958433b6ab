"""The problem document (RFC 9457), and the response that carries it."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, NotRequired

from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict


class InvalidValue(TypedDict):
    """One thing that is wrong with a request."""

    pointer: Annotated[
        str,
        Field(
            description="Where: a JSON Pointer into the body (RFC 6901), or the name of a parameter or header; `query`"
            " for all parameters together.",
            examples=["/task"],
        ),
    ]
    detail: Annotated[str, Field(description="What is wrong there.", examples=["must not be empty"])]
    code: Annotated[str, Field(description="The kind of fault, for programs.", examples=["string_too_short"])]


class ProblemDocument(TypedDict):
    """What is wrong with a request, or with the server (RFC 9457)."""

    type: Annotated[
        str,
        Field(description="Names the kind of problem, and leads to a page about it.", examples=["/problems/not-found"]),
    ]
    title: Annotated[str, Field(description="The kind of problem, in words.", examples=["Not found"])]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status.", examples=[404])]
    detail: Annotated[
        str,
        Field(description="What is wrong in this case, and what to do.", examples=["There is no todo with this id."]),
    ]
    errors: NotRequired[
        Annotated[
            list[InvalidValue],
            Field(
                description="Each thing that is wrong, up to 100 of them, for status 422.",
                examples=[[{"pointer": "/task", "detail": "must not be empty", "code": "string_too_short"}]],
            ),
        ]
    ]
    current: NotRequired[
        Annotated[
            dict[str, Any], Field(description="The resource as it is now, for status 412.", examples=[{"version": 2}])
        ]
    ]
    matched: NotRequired[Annotated[int, Field(ge=0, description="How many match, for status 409.", examples=[240])]]
    changed: NotRequired[
        Annotated[int, Field(ge=0, description="How many would be changed or deleted, for status 409.", examples=[240])]
    ]


class Problem(HTTPException):
    """An error that the client is told of.

    `detail` says what is wrong with this request; it may name members and parameters, never show values.
    """

    status: ClassVar[int]
    title: ClassVar[str]
    type: ClassVar[str]

    members: Mapping[str, Any] = {}
    """Further members of this problem, such as `errors`."""

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.status, detail, headers)


def describe(problem: HTTPException) -> dict[str, Any]:
    """The document of a problem; one without a type of its own is what its status says."""
    if not isinstance(problem, Problem):
        title = HTTPStatus(problem.status_code).phrase
        return {"type": "about:blank", "title": title, "status": problem.status_code, "detail": problem.detail}
    return {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        **problem.members,
    }


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"

    def __init__(self, problem: HTTPException) -> None:
        super().__init__(describe(problem), problem.status_code, problem.headers)

    def render(self, content: Any) -> bytes:
        # ASCII: a member's name is the client's text and may hold what UTF-8 can't, a lone surrogate.
        return json.dumps(content, separators=(",", ":")).encode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
