"""HEAD and OPTIONS, which every path has of itself, and what `Allow` says."""

from fastapi import FastAPI, Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.http.bodies import JSON, MERGE_PATCH

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed_methods(scope: Scope) -> list[str]:
    """The methods that the path of `scope` has, `[]` when it is unknown."""
    app: FastAPI = scope["app"]
    # Within a mount, root_path is that of the mount.
    scope = dict(scope, root_path=scope.get("app_root_path", scope.get("root_path", "")))
    methods = [method for method in _METHODS if any(_has(route, dict(scope, method=method)) for route in app.routes)]
    if "GET" in methods:
        methods.append("HEAD")
    return [*methods, "OPTIONS"] if methods else []


def _has(route: BaseRoute, scope: Scope) -> bool:
    if isinstance(route, Mount) and scope["method"] != "GET":
        return False  # files, which are only read
    return route.matches(scope)[0] == Match.FULL


class Methods:
    """Answers HEAD as GET without the body, and OPTIONS with the methods of the path (RFC 9110, section 9.3)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            # A copy: the server must still see HEAD, or it would miss the body that Content-Length announces.
            get = dict(scope, method="GET")
            await self.app(get, receive, _without_body(send))
            scope.update(get, method="HEAD")  # the log asks for the route
        elif scope["type"] == "http" and scope["method"] == "OPTIONS" and (methods := allowed_methods(scope)):
            headers = {"Allow": ", ".join(methods)}
            if "PATCH" in methods:
                headers["Accept-Patch"] = f"{JSON}, {MERGE_PATCH}"
            await Response(status_code=204, headers=headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = dict(message, body=b"")
        await send(message)

    return send_head
