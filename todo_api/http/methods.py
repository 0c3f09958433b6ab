"""The methods that a path supports, for `Allow`."""

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed_methods(scope: Scope) -> list[str]:
    """The methods that the path of the request supports, `[]` when the path is unknown."""
    app: FastAPI = scope["app"]
    # A mount changes root_path, and the routes here need the original one.
    scope = dict(scope, root_path=scope.get("app_root_path", scope.get("root_path", "")))
    methods = [method for method in METHODS if any(_has(route, dict(scope, method=method)) for route in app.routes)]
    if "GET" in methods:
        methods.append("HEAD")
    return [*methods, "OPTIONS"] if methods else []


def _has(route: BaseRoute, scope: Scope) -> bool:
    if isinstance(route, Mount) and scope["method"] != "GET":
        return False  # a mount serves files, which clients only read
    return route.matches(scope)[0] == Match.FULL
