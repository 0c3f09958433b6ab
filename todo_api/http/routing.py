"""The route class of every endpoint, which refuses what is too much and ends what was begun; the session of each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor

from todo_api.database.engines import Database
from todo_api.database.session import Session
from todo_api.http.headers import DRY_RUN
from todo_api.http.problems import Invalid, InvalidValue
from todo_api.http.strict import check_media_type, check_query

OPEN_PATHS = ("/livez", "/readyz")
"""What says nothing of anybody's todos, for whatever watches over the server from another machine."""

CALLER = "todo_api.caller"
"""Where the scope of a request has the owner for whom it was sent."""
DEADLINE = "todo_api.deadline"
"""Where the route of a request keeps the time-out that its first session starts."""
SESSIONS = "todo_api.sessions"
"""Where the route of a request finds its open sessions. A generator dependency would cost 80 µs a request, a fifth."""

_DRY_RUN_PARAMETER = {
    "name": "dry_run",
    "in": "query",
    "description": "Whether to check and do everything and then undo it: the answer is the same, with `X-Dry-Run`. Its"
    " time stamps are of now, and an id in it is not kept for the todo.",
    "schema": {"type": "boolean", "examples": [False]},
}


class _Member(StringConvertor):
    """`{id:member}` in a path: any name but those of operations on many, which have methods of their own."""

    regex = "(?!bulk(?:/|$))[^/]+"


register_url_convertor("member", _Member())


class Route(APIRoute):
    """Asks first who calls (401, 403), then refuses unknown query parameters (422) and bodies of another media type
    (415), and closes the sessions. Methods that change something take `dry_run`.
    """

    def __init__(self, *args: Any, openapi_extra: dict[str, Any] | None = None, **options: Any) -> None:
        extra = dict(openapi_extra or {})
        if not {"GET", "HEAD"} & set(options["methods"]):
            extra["parameters"] = [*extra.get("parameters", []), _DRY_RUN_PARAMETER]
        options["operation_id"] = options["endpoint"].__name__  # which SDKs take for their methods
        super().__init__(*args, openapi_extra=extra, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        parameters = self._query_parameters()
        has_body = self.body_field is not None

        async def answer_strictly(request: Request) -> Response:
            request.scope[CALLER] = await request.state.callers.identify(request)
            if request.scope["query_string"]:
                check_query(request, parameters)
                request.scope[DRY_RUN] = _is_dry_run(request)
            if has_body:
                check_media_type(request)
            sessions = request.scope[SESSIONS] = []
            async with asyncio.timeout(None) as request.scope[DEADLINE]:
                try:
                    return await answer(request)
                finally:
                    for session in sessions:
                        await session.close()

        return answer_strictly

    def _query_parameters(self) -> dict[str, bool]:
        """The query parameters in the document of this route, and whether each may be repeated."""
        documented = (self.openapi_extra or {}).get("parameters", [])
        return {each["name"]: each["schema"]["type"] == "array" for each in documented if each["in"] == "query"}


def _is_dry_run(request: Request) -> bool:
    sent = request.query_params.get("dry_run", "false")
    if sent not in ("true", "false"):
        raise Invalid([InvalidValue(pointer="dry_run", detail="must be true or false", code="bool_parsing")])
    return sent == "true"


async def open_session(request: Request) -> Session:
    """A session for one request and its caller: without a transaction for GET and HEAD, in one for other methods.

    The endpoint commits. Once it has returned, the route closes the session, which undoes what is not committed.
    """
    database: Database = request.state.database
    deadline: asyncio.Timeout = request.scope[DEADLINE]
    if deadline.when() is None:  # from here on: the client may take its time to send the body
        deadline.reschedule(asyncio.get_running_loop().time() + database.timeout)
    transactions = database.reader if request.method in ("GET", "HEAD") else database.writer
    session = Session(transactions, request.scope[CALLER], dry_run=request.scope.get(DRY_RUN, False), deadline=deadline)
    request.scope[SESSIONS].append(session)
    return session


SessionDep = Annotated[Session, Depends(open_session)]
