"""Access tokens (RFC 6750): what a caller shows, and for whom it then acts."""

import re
from hashlib import sha256
from secrets import token_urlsafe
from time import time
from typing import Annotated, Any

from fastapi import Request
from sqlalchemy import bindparam
from sqlmodel import Field, col, select

from todo_api.database.owners import ALL_OWNERS, Owned
from todo_api.database.session import Session
from todo_api.database.transactions import Transactions
from todo_api.http.problems import InsufficientScope, Unauthorized
from todo_api.single_model.columns import BIG_INTEGER
from todo_api.single_model.fields import Id, Line
from todo_api.single_model.marks import Internal, ServerSet


class AccessToken(Owned, table=True):
    """A token: its caller acts for its owner. The operator makes it by the command line."""

    __tablename__ = "access_tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Annotated[Id, ServerSet] = Field(default=None, primary_key=True, sa_type=BIG_INTEGER)
    """Identifies the token to the one who revokes it."""
    name: Line | None = Field(default=None, max_length=80)
    """What it is for, in the words of the one who made it."""
    read_only: bool = False
    """Whether it can read alone."""
    expires_at: int = Field(sa_type=BIG_INTEGER)
    """When it stops, in seconds since 1970 (UTC), which is what the clock of a request says."""
    digest: Annotated[str, Internal] = Field(max_length=64, unique=True)
    """The SHA-256 of the token, which itself is kept nowhere. Its 256 random bits need no slower hash."""


_TOKEN = re.compile("todo_[A-Za-z0-9_-]{43}")
_CREDENTIALS = re.compile(f"[A-Za-z]+ +({_TOKEN.pattern})")
# Made once: building a statement and its cache key cost a quarter of a request.
_BY_DIGEST = select(AccessToken.owner, AccessToken.read_only, AccessToken.expires_at).where(
    col(AccessToken.digest) == bindparam("digest")
)


def new_token() -> str:
    """A token of 256 random bits. By how it begins, programs that look for published secrets know it."""
    return f"todo_{token_urlsafe(32)}"


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class TokenCallers:
    """Whoever sends a token of the database, which is read each time: a revoked one stops at once."""

    def __init__(self, transactions: Transactions, timeout: float) -> None:
        self._transactions = transactions
        self._timeout = timeout

    async def identify(self, request: Request) -> str:
        token = _sent_token(request)
        found = await self._find(token) if token else None
        if found is None or found.expires_at <= time():
            raise Unauthorized("The token is unknown, expired or revoked.", error="invalid_token")
        if found.read_only and request.method not in ("GET", "HEAD"):
            raise InsufficientScope
        owner: str = found.owner
        return owner

    async def _find(self, token: str) -> Any:
        async with Session(self._transactions, ALL_OWNERS, seconds=self._timeout) as session:
            return (await session.exec(_BY_DIGEST, params={"digest": digest(token)})).first()


def _sent_token(request: Request) -> str | None:
    """The token of a request, None when what was sent can't be one; raises Unauthorized when nothing was."""
    lines = request.headers.getlist("authorization")
    if not any(line.partition(" ")[0].lower() == "bearer" for line in lines):
        raise Unauthorized("Send Authorization: Bearer with a token that the operator of this server made for you.")
    match = _CREDENTIALS.fullmatch(lines[0]) if len(lines) == 1 else None
    return match and match[1]
