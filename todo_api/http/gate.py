"""The gate: every request passes it on the way in, and every answer on the way out."""

import sys
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from time import perf_counter

from fastapi import Response
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.database.schema import StartupError
from todo_api.http.bodies import JSON, MERGE_PATCH
from todo_api.http.headers import DRY_RUN, OPEN_PATHS, complete, request_id_of
from todo_api.http.methods import METHODS, allowed_methods
from todo_api.http.pace import Pace
from todo_api.http.problem import ProblemResponse
from todo_api.http.problems import Internal, Unavailable
from todo_api.http.room import LARGE, PIECE, Room
from todo_api.http.strict import check_body, check_head, check_slashes
from todo_api.logs import CAUSE, log_request

Check = Callable[[Scope], HTTPException | None]
"""Looks at a request before the application does, and returns a problem to refuse it."""

_CHECKS: tuple[Check, ...] = (check_head, check_slashes, check_body)
_BUSY = "The server has more to do than it can; try again."
_ANSWER = "todo_api.answer"
"""The key in a request's scope for its answer, which both parts of the gate need: CORS stands between them."""


class Gate:
    """The only ASGI middleware: gives each request an id, runs the checks, completes the answer and logs one line.

    `checks` come before CORS, so that a web page can't read their refusals. `cors` wraps all the rest: it answers
    preflights, and lets the web pages that may call read every other error, such as 413 or 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        pace: Pace,
        answers: Room,
        checks: Sequence[Check] = (),
        cors: Callable[[ASGIApp], ASGIApp] | None = None,
    ) -> None:
        self.app = app
        self.answers = answers
        self.pace = pace
        self.checks = checks
        self.inner = cors(self._pass) if cors else self._pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, _with_short_errors(send))
            return
        started = perf_counter()
        scope["request_id"] = request_id_of(scope)
        answer = scope[_ANSWER] = _Answer(scope, send, self.answers)
        try:
            refusal = _refuse(scope, self.checks)
            await (refusal or self.inner)(scope, receive, answer.send)
        finally:
            del scope[_ANSWER]  # the answer refers to the scope: a cycle would wait for garbage collection
            log_request(scope, answer.status, started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens: for an error that reaches Starlette, uvicorn cuts the connection."""
        answer: _Answer = scope[_ANSWER]
        try:
            may_begin = get_route_path(scope) in OPEN_PATHS or await self.pace.turn()
            await (self._respond(scope) if may_begin else ProblemResponse(Unavailable(_BUSY)))(scope, receive, send)
        except CancelledError:  # the server is stopping, and the time for running requests is over
            if answer.is_started:
                raise
            refusal = Unavailable("The server ends; whether this was done is not known.")
            await ProblemResponse(refusal)(scope, receive, send)
        except Exception as error:
            scope[CAUSE] = error
            if answer.is_started:
                raise
            await ProblemResponse(Internal())(scope, receive, send)

    def _respond(self, scope: Scope) -> ASGIApp:
        """Choose what answers: a refusal, the methods of the path for OPTIONS, or the application (RFC 9110, 9.3)."""
        if refusal := _refuse(scope, _CHECKS):
            return refusal
        if scope["method"] == "OPTIONS" and scope["path"] == "*":  # of the server itself
            return Response(status_code=204, headers={"Allow": ", ".join([*METHODS, "HEAD", "OPTIONS"])})
        if scope["method"] == "OPTIONS" and (methods := allowed_methods(scope)):
            patch = {"Accept-Patch": f"{JSON}, {MERGE_PATCH}"} if "PATCH" in methods else {}
            return Response(status_code=204, headers={"Allow": ", ".join(methods), **patch})
        return self._respond_to_head if scope["method"] == "HEAD" else self.app

    async def _respond_to_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server must still see HEAD, or it would expect the body that Content-Length announces.
        get = dict(scope, method="GET")
        try:
            await self.app(get, receive, send)
        finally:
            scope.update(get, method="HEAD")  # the log line names the route, which is in the copy


def _refuse(scope: Scope, checks: Sequence[Check]) -> ProblemResponse | None:
    """Run the checks in order; the first problem is the answer."""
    for check in checks:
        if problem := check(scope):
            return ProblemResponse(problem)
    return None


class _Answer:
    """Sends the answer to a request, and completes its head on the way."""

    def __init__(self, scope: Scope, send: Send, answers: Room) -> None:
        self.status = 500  # uvicorn's answer when the application sends none
        self.is_started = False
        self._scope = scope
        self._send = send
        self._answers = answers

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_started = True
            self.status = message["status"]
            complete(message["headers"], self._scope["request_id"])
            if self._scope.get(DRY_RUN):
                message["headers"].append((b"x-dry-run", b"true"))
        elif self._scope["method"] == "HEAD" and message["type"] == "http.response.body":
            message = dict(message, body=b"")
        if len(message.get("body", b"")) > LARGE:
            await self._send_in_pieces(message)
        else:
            await self._send(message)

    async def _send_in_pieces(self, message: Message) -> None:
        """Send a large body in pieces, as the client reads it: a connection keeps the memory of its largest piece."""
        body, more_body = message["body"], message.get("more_body", False)
        with self._answers.hold(len(body)):
            for start in range(0, len(body), PIECE):
                piece = body[start : start + PIECE]
                await self._send(dict(message, body=piece, more_body=more_body or start + PIECE < len(body)))


def _with_short_errors(send: Send) -> Send:
    """Report a StartupError to the server in one line, where Starlette sends a whole traceback."""

    async def send_short(message: Message) -> None:
        error = sys.exception()
        if message["type"] == "lifespan.startup.failed" and isinstance(error, StartupError):
            message["message"] = f"todo_api: {error}"
        await send(message)

    return send_short
