"""Health checks for load balancers and orchestrators."""

import asyncio
from operator import attrgetter
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from todo_api.database.engines import Database
from todo_api.database.schema import check_schema
from todo_api.http.problems import DAMAGED, Unavailable

# No route of ours: probes add parameters of their own, which are ignored here.
router = APIRouter(tags=["health"], generate_unique_id_function=attrgetter("name"))

PROBE_TIMEOUT = 1.0
"""Seconds that the database may take: the usual time-out of a probe."""


@with_config(ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]}))
class Health(TypedDict):
    """The server is well."""

    status: Annotated[
        Literal["ok"], Field(description="Always `ok`: what is not well is told by a problem.", examples=["ok"])
    ]


OK = Health(status="ok")


@with_config(ConfigDict(json_schema_extra={"examples": [{"status": "ok", "disk": "ok"}]}))
class Readiness(Health):
    """The server is ready."""

    disk: Annotated[
        Literal["ok", "full"],
        Field(
            description="`full`: there is no room for what is written to the SQLite database, so writes are answered"
            " 507, and reads as ever. Always `ok` on PostgreSQL, which does not tell.",
            examples=["ok"],
        ),
    ]


@router.get("/livez")
async def check_liveness() -> Health:
    """Check that the process answers

    The database is not asked: starting the server anew would not mend it.
    """
    return OK


@router.get("/readyz")
async def check_readiness(request: Request) -> Readiness:
    """Check that requests can be served

    The database answers, is at the newest migration and not known to be damaged; otherwise 503. Busy is not broken:
    this waits for no other request.
    """
    database: Database = request.state.database
    async with asyncio.timeout(PROBE_TIMEOUT):
        await check_schema(database.probe)
    if (file := database.file) is None:
        return Readiness(status="ok", disk="ok")
    if file.damage.is_suspected:
        raise Unavailable(DAMAGED)
    return Readiness(status="ok", disk="full" if file.disk.is_full else "ok")
