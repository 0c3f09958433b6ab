"""The database: its URL, its engines, and the session that an endpoint works with."""

from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from todo_api import sqlite
from todo_api.owners import OWNER

POOL_SIZE = 10
"""Connections that one process holds on a PostgreSQL server at the most."""
POOL_TIMEOUT = 5.0
"""Seconds that a request waits for a connection."""
CONNECT_TIMEOUT = 3.0
"""Seconds that opening a connection may take."""
_SERVER_SETTINGS = {
    "application_name": "todo_api",
    "statement_timeout": "5s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
}
_DRIVERS = {
    "sqlite": sqlite.DRIVER,
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_url(text: str) -> URL:
    """The URL with the driver that serves it; the forms are `sqlite:///file`, `postgresql://…` and `postgres://…`.

    Raises ValueError, which never shows the URL, as that may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(
            "is not a database URL: sqlite:///todo.db and postgresql://user:password@host/name are"
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"names the unknown database {url.drivername!r}: use sqlite:// or postgresql://")
    if driver == sqlite.DRIVER and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file, such as sqlite:///todo.db: connections do not share a database in memory")
    if driver == "postgresql+asyncpg" and "sslmode" in url.query:
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
    url = url.set(drivername=driver)
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise ValueError(f"needs a driver that is not installed: pip install {error.name}") from None
    return url


class Database:
    """The two engines of one database: `writer` runs transactions, `reader` single statements that change nothing."""

    def __init__(self, url: URL) -> None:
        if url.drivername == sqlite.DRIVER:
            # SQLite has one writer at a time: the others queue for its connection, in order, and block no reader.
            self.writer = _engine(url, pool_size=1)
            self.reader = _engine(url, pool_size=1, read_only=True)
        else:
            self.writer = _engine(url, pool_size=POOL_SIZE, pool_pre_ping=True, connect_args=_connect_args(url))
            self.reader = self.writer.execution_options(isolation_level="AUTOCOMMIT")

    async def dispose(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()


def _engine(url: URL, **options: Any) -> AsyncEngine:
    # No overflow: its connections are opened and closed at every use. Parameters are what clients wrote: never logged.
    return create_async_engine(url, max_overflow=0, pool_timeout=POOL_TIMEOUT, hide_parameters=True, **options)


def _connect_args(url: URL) -> dict[str, Any]:
    if url.get_driver_name() == "asyncpg":
        return {"timeout": CONNECT_TIMEOUT, "server_settings": _SERVER_SETTINGS}
    options = " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items())
    return {"connect_timeout": round(CONNECT_TIMEOUT), "options": options}


async def open_session(request: Request) -> AsyncSession:
    """A session for one request and its caller: without a transaction for GET and HEAD, in one for other methods.

    The endpoint commits. Once it has returned, the route closes the session, which rolls back what is not committed.
    """
    database: Database = request.state.database
    engine = database.reader if request.method in ("GET", "HEAD") else database.writer
    session = AsyncSession(engine, expire_on_commit=False, info={OWNER: request.scope[CALLER]})
    request.scope[SESSIONS].append(session)
    return session


CALLER = "todo_api.caller"
"""Where the scope of a request has the owner for whom it was sent."""
SESSIONS = "todo_api.sessions"
"""Where the route of a request finds its open sessions. A generator dependency would cost 80 µs a request, a fifth."""

SessionDep = Annotated[AsyncSession, Depends(open_session)]
