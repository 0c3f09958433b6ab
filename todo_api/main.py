"""The application, assembled."""

import asyncio
import gc
import logging.config
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from inspect import getdoc
from typing import Any

from fastapi import FastAPI

import todo_api
from todo_api.access import callers
from todo_api.database.engines import Database
from todo_api.database.schema import check_schema
from todo_api.features.purge import keep_purging
from todo_api.http import cors, docs, errors, openapi
from todo_api.http.addresses import Addresses
from todo_api.http.gate import Gate
from todo_api.http.idempotency import Keys
from todo_api.http.introduction import DEFAULT_URL
from todo_api.http.pace import Pace
from todo_api.http.room import Room, give_back_memory
from todo_api.logs import log_config
from todo_api.routes import health, lists, todos, trash
from todo_api.settings import Settings, load_settings


def create_app(settings: Settings) -> FastAPI:
    """Assemble the application; it opens the database of the settings when it starts to serve."""
    bodies, answers = Room(), Room()

    addresses = Addresses(settings.url, settings.proxies)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        database = Database(
            settings.database_url, timeout=settings.database_timeout, many_timeout=settings.bulk_timeout
        )
        give_back_memory()
        try:
            await check_schema(database.reading)
            with rare_garbage_collection():
                tasks = [asyncio.create_task(keep_purging(database, settings.trash_days))]
                if database.file is not None:
                    tasks.append(asyncio.create_task(database.file.keep_looking()))
                try:
                    yield {
                        "database": database,
                        "callers": callers.choose(settings, database),
                        "addresses": addresses,
                        "keys": Keys(settings.idempotency_hours),
                        "require_if_match": settings.require_if_match,
                        "trash_days": settings.trash_days,
                        "bodies": bodies,
                        "answers": answers,
                    }
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
        finally:
            await database.dispose()

    app = FastAPI(
        title="todo_api",
        summary=getdoc(todo_api),
        version=todo_api.__version__,
        contact={"name": "The operator of this server"},
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[
            {"name": "todos", "description": "What is to be done."},
            {"name": "many todos", "description": "Create, change or delete many todos at once."},
            {"name": "health", "description": "Whether this server is well, for what watches it."},
        ],
        lifespan=lifespan,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # include_router would look up the route of each request twice, which costs 30 µs.
    for router in (todos.router, todos.many, trash.router, lists.router, health.router):
        app.router.routes.extend(router.routes)
    if settings.docs:
        docs.install(app, addresses)
    errors.install(app)
    origins = settings.cors_origins
    cross_origin = cors.allow(origins) if origins else None
    pace = Pace(settings.database_timeout)
    app.add_middleware(Gate, pace=pace, answers=answers, checks=callers.checks(settings), cors=cross_origin)
    url = addresses.url or DEFAULT_URL
    app.openapi = partial(openapi.build_document, app, with_tokens=settings.auth == "token", url=url)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Exclude what start-up made from garbage collection, and collect seldom: it took a quarter of each request."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


_settings = load_settings()
logging.config.dictConfig(log_config(_settings.log_format, _settings.log_level))
app = create_app(_settings)
