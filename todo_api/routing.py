"""The route class of every endpoint: it refuses what is too much, and ends what the request began."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from todo_api.database import CALLER, SESSIONS
from todo_api.methods import JSON, MERGE_PATCH
from todo_api.strict import check_media_type, check_query


class Route(APIRoute):
    """Asks first who calls (401, 403), then refuses unknown query parameters (422) and bodies of another media type
    (415), and closes the sessions.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        parameters = self._query_parameters()
        media_types = (JSON, MERGE_PATCH) if self.methods == {"PATCH"} else (JSON,)
        has_body = self.body_field is not None

        async def answer_strictly(request: Request) -> Response:
            request.scope[CALLER] = await request.state.callers.identify(request)
            if request.scope["query_string"]:
                check_query(request, parameters)
            if has_body:
                check_media_type(request, media_types)
            sessions = request.scope[SESSIONS] = []
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
