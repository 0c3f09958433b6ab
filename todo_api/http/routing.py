"""The route class of every endpoint: it does what all of them have in common.

It asks who calls (401, 403), refuses unknown query parameters (422) and bodies of another type or size (415, 413),
opens the session and commits it when the answer is rendered. A request that was done already, by its
`Idempotency-Key`, gets the first answer again. For a row that has a version it evaluates the
preconditions (304, 412, 428) and sends `ETag`; for a new row it sends `Location`. The document of the route says so.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Annotated, Any, get_args

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor

from todo_api.database.deadlines import NeedsTimeError
from todo_api.database.engines import Database
from todo_api.database.session import Session
from todo_api.http.addresses import address_of
from todo_api.http.bodies import JSON, MAX_BODY_SIZE, MERGE_PATCH, check_media_type, read_strictly, size_of_body
from todo_api.http.conditional import IF_MATCH, IF_NONE_MATCH, check_preconditions, entity_tag
from todo_api.http.headers import DRY_RUN
from todo_api.http.idempotency import IDEMPOTENCY_KEY, REPLAYED, Keys, digest_of, sent_key
from todo_api.http.parts import Part
from todo_api.http.problems import PreconditionRequired, TooMany
from todo_api.http.responses import documented, not_modified, problems_of_row
from todo_api.http.room import LARGE, Room
from todo_api.http.signatures import (
    annotations,
    answers_row,
    body_members,
    has_list,
    overwrites_nothing,
    parts_of,
    takes_along,
)
from todo_api.http.strict import check_query, is_dry_run

CALLER = "todo_api.caller"
"""Where the scope of a request has the owner for whom it was sent."""
SESSION = "todo_api.session"
"""Where the scope of a request has its session. A generator dependency would cost 80 µs a request, a fifth."""
ROW = "todo_api.row"
"""Where the scope of a request has the row that its endpoint answers."""

_DRY_RUN_PARAMETER = {
    "name": "dry_run",
    "in": "query",
    "description": "Whether to check and do everything and then undo it: the answer is the same, with `X-Dry-Run`. Its"
    " time stamps are of now, and an id in it is not kept.",
    "schema": {"type": "boolean", "examples": [False]},
}


class _Member(StringConvertor):
    """`{id:member}` in a path: any name but those of operations on many, which have methods of their own."""

    regex = "(?!(?:bulk|restore)(?:/|$))[^/]+"


register_url_convertor("member", _Member())


class Route(APIRoute):
    """A route that does, and documents, what the signature of its endpoint says.

    `max_body_size` is the number of bytes that a body may have. A change of many may take longer: `TODO_BULK_TIMEOUT`.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, max_body_size: int | None = None, **options: Any
    ) -> None:
        self.body_limit = max_body_size or MAX_BODY_SIZE
        self.body_types = (JSON, MERGE_PATCH) if "PATCH" in options["methods"] else (JSON,)
        self.body_members = body_members(endpoint)
        self.is_safe = bool({"GET", "HEAD"} & set(options["methods"]))
        parts = {name: part for name, kind in annotations(endpoint).items() for part in parts_of(kind)}
        self.of_many = has_list(endpoint) or any(part.is_of_many for part in parts.values())
        parameters = [each for part in parts.values() for each in part.parameters]
        options["responses"] = self._responses(endpoint, parts, options)
        if overwrites_nothing(endpoint):
            del options["responses"][PreconditionRequired.status]
        row = next((name for name, part in parts.items() if part.is_row), None)
        if row is not None:
            parameters.append(IF_NONE_MATCH if self.is_safe else IF_MATCH)
        if not self.is_safe:
            parameters += [_DRY_RUN_PARAMETER, IDEMPOTENCY_KEY]
        if parameters:
            options["openapi_extra"] = {"parameters": parameters}
        if models := [part.response_model for part in parts.values() if part.response_model is not None]:
            options["response_model"] = models[0]
        if options.get("status_code") == 204:
            options["response_class"] = Response
        options["operation_id"] = endpoint.__name__  # which SDKs take for their methods
        is_change = str(PreconditionRequired.status) in map(str, options["responses"])
        super().__init__(path, _with_preconditions(endpoint, row, is_change=is_change), **options)

    def _responses(self, endpoint: Callable[..., Any], parts: dict[str, Part], options: dict[str, Any]) -> Any:
        status = options.get("status_code") or 200
        problems: list[Any] = [TooMany] if self.of_many else []
        if has_list(endpoint) or takes_along(endpoint):
            problems = [TooMany()]  # there is no max_affected, but the time may be up
        problems += [problem for part in parts.values() for problem in part.problems]
        headers = [header for part in parts.values() for header in part.headers]
        row = next((name for name, part in parts.items() if part.is_row), None)
        if row is not None:
            problems += problems_of_row(get_args(annotations(endpoint)[row])[0], is_safe=self.is_safe)
        if answers_row(endpoint):
            headers += ["Location", "ETag"] if status == 201 else ["ETag"]
        if not self.is_safe:
            headers.append(REPLAYED)
        said = documented(*problems, success=status, headers=tuple(headers))
        return {**said, **(not_modified() if row and self.is_safe else {}), **(options.get("responses") or {})}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        parameters = self._query_parameters()
        has_body = self.body_field is not None

        async def answer_strictly(request: Request) -> Response:
            request = read_strictly(request, self.body_limit)
            owner = request.scope[CALLER] = await request.state.callers.identify(request)
            if request.scope["query_string"]:
                check_query(request, parameters)
                request.scope[DRY_RUN] = is_dry_run(request)
            if has_body:
                check_media_type(request, self.body_types)
            key = None if self.is_safe else sent_key(request)
            database: Database = request.state.database
            size = size_of_body(request, self.body_limit) if has_body or key else 0
            if size > LARGE:
                room: Room = request.state.bodies
                await room.wait_for(size, database.timeout)
                with room.hold(size):
                    return await answer_in_time(request, owner, key)
            return await answer_in_time(request, owner, key)

        async def answer_in_time(request: Request, owner: str, key: str | None) -> Response:
            try:
                return await answer_in_session(request, owner, key, of_many=self.of_many)
            except NeedsTimeError:
                return await answer_in_session(request, owner, key, of_many=True)

        async def answer_in_session(request: Request, owner: str, key: str | None, *, of_many: bool) -> Response:
            database: Database = request.state.database
            transactions = database.reader if self.is_safe else database.writer
            dry_run = request.scope.get(DRY_RUN, False)
            many_seconds = database.many_timeout if of_many else None
            session = Session(transactions, owner, seconds=database.timeout, many_seconds=many_seconds, dry_run=dry_run)
            session.keeps_deleted = request.state.trash_days > 0
            request.scope[SESSION] = session
            keys: Keys = request.state.keys
            digest = await digest_of(request) if key and not dry_run else None
            try:
                async with session:
                    if key and digest:
                        response = await keys.answer(key, digest, session, partial(answer_with_headers, request))
                    else:
                        response = await answer_with_headers(request)
            except TimeoutError as error:
                if of_many and session.has_begun:
                    raise TooMany from error
                raise
            return response

        async def answer_with_headers(request: Request) -> Response:
            response = await answer(request)
            _add_headers(response, request)
            return response

        return answer_strictly

    def _query_parameters(self) -> dict[str, bool]:
        """The query parameters in the document of this route, and whether each may be repeated."""
        documented = (self.openapi_extra or {}).get("parameters", [])
        return {each["name"]: each["schema"]["type"] == "array" for each in documented if each["in"] == "query"}


def _with_preconditions(endpoint: Callable[..., Any], row: str | None, *, is_change: bool) -> Callable[..., Any]:
    """The endpoint, called when the preconditions of the request hold for the parameter `row`, or for a collection."""
    answers = answers_row(endpoint)
    signature = inspect.signature(endpoint)
    declared = next((name for name, kind in annotations(endpoint).items() if kind is Request), None)
    name = declared or "request_of_route"

    @wraps(endpoint)
    async def call(**values: Any) -> Any:
        request: Request = values[name] if declared else values.pop(name)
        check_preconditions(request, values[row] if row else None, required=is_change)
        answered = await endpoint(**values)
        if answers:
            request.scope[ROW] = answered
        return answered

    if not declared:
        added = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        signature = signature.replace(parameters=[*signature.parameters.values(), added])
    call.__signature__ = signature  # type: ignore[attr-defined]  # which inspect looks for
    return call


def _add_headers(response: Response, request: Request) -> None:
    """Name the version of the row that is answered, and say where a new one is."""
    row = request.scope.get(ROW)
    if row is not None:
        response.headers["ETag"] = entity_tag(row)
        if response.status_code == 201:
            response.headers["Location"] = f"{address_of(request)}/{row.id}"


def session_of(request: Request) -> Session:
    """The session of a request, for its caller's rows. The endpoint commits; the route undoes all else."""
    session: Session = request.scope[SESSION]
    return session


async def _find_session(request: Request) -> Session:
    return session_of(request)


SessionDep = Annotated[Session, Depends(_find_session)]
