"""The application, assembled."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from inspect import getdoc
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

import todo_api
from todo_api import cors, docs, errors, openapi
from todo_api.database import Database
from todo_api.methods import Methods
from todo_api.request_id import RequestId
from todo_api.routes import todos
from todo_api.settings import Settings, load_settings
from todo_api.startup import ShortStartupErrors, check_schema
from todo_api.strict import SizeLimits

MAX_HEAD_SIZE = 8 * 1024
"""Bytes of a request's target and fields at the most."""
MAX_BODY_SIZE = 64 * 1024
"""Bytes of a request body at the most."""


def create_app(settings: Settings) -> FastAPI:
    """The application on the database of `settings`, which it opens when it starts serving."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        database = Database(settings.database_url)
        try:
            await check_schema(database.reader)
            with rare_garbage_collection():
                yield {"database": database, "require_if_match": settings.require_if_match}
        finally:
            await database.dispose()

    summary, _, description = (getdoc(todo_api) or "").partition("\n\n")
    app = FastAPI(
        title="todo_api",
        summary=summary,
        version=todo_api.__version__,
        description=description,
        contact={"name": "The operator of this server"},
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[{"name": "todos", "description": "What is to be done."}],
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(todos.router)
    docs.install(app)
    app.add_middleware(Methods)
    app.add_middleware(SizeLimits, head=MAX_HEAD_SIZE, body=MAX_BODY_SIZE)
    errors.install(app)
    if settings.cors_origins:
        cors.install(app, settings.cors_origins)
    app.add_middleware(RequestId)
    app.add_middleware(ShortStartupErrors)
    app.openapi = partial(openapi.build_document, app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def operation_id(route: APIRoute) -> str:
    """The function's name, which SDKs take for their methods."""
    return route.name


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Leave what the start made out of garbage collection, and collect seldom: it cost a quarter of each request."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


app = create_app(load_settings())
