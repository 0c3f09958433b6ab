"""Exactly once: a request with an `Idempotency-Key` that has succeeded is answered again, and not done again.

The answer is kept by the transaction that makes the request's changes, so both are there or neither. The owner's turn
orders the requests with one key: the second one waits for the first, and finds its answer. The draft of the header
(draft-ietf-httpapi-idempotency-key-header, section 2.6) would refuse it with 409, and the client would send it again.
"""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable
from hashlib import sha256
from time import time
from typing import Annotated, Any, Final

from fastapi import Request, Response
from sqlalchemy import Index, Text, UniqueConstraint, bindparam, insert
from sqlmodel import Field, col, delete, select
from starlette.requests import ClientDisconnect

from todo_api.database.engines import Database
from todo_api.database.owners import ALL_OWNERS, Owned
from todo_api.database.session import Session
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid, KeyReused, Malformed
from todo_api.http.room import LARGE
from todo_api.single_model.columns import BIG_INTEGER
from todo_api.single_model.fields import Id
from todo_api.single_model.marks import ServerSet

HOURS: Final = 24
"""Hours for which an answer is kept, unless the settings say otherwise."""
MAX_KEY: Final = 255
"""Characters of a key at the most."""
STEP: Final = 200
"""Expired answers that are deleted at once."""
SMALL: Final = 1024
"""Bytes up to which a body is not worth compressing."""

REPLAYED: Final = "Idempotency-Replayed"
IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": f"A name of your own for this request, of 1 to {MAX_KEY} visible ASCII characters, such as a UUID;"
    " quotes around it do not count. When you send the same request with it again, it is not done again: you get the"
    f" first answer, with `{REPLAYED}`. Another request with it is refused (422).",
    "schema": {"type": "string", "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]},
}
_KEY = re.compile(rb'"([!#-~]{1,%d})"|([!#-~]{1,%d})' % (MAX_KEY, MAX_KEY))


class KeptAnswer(Owned, table=True):
    """The answer to a request that has succeeded, for when the same request comes again."""

    __tablename__ = "kept_answers"
    # The ids are in the order of time, so the rows are written and deleted side by side; by the key they would not be.
    __table_args__ = (UniqueConstraint("owner", "key"), Index(None, "expires_at"), {"sqlite_autoincrement": True})

    id: Annotated[Id, ServerSet] = Field(default=None, primary_key=True, sa_type=BIG_INTEGER)
    """Tells the rows apart."""
    key: str = Field(max_length=MAX_KEY)
    """What the client sent as `Idempotency-Key`, without quotes."""
    digest: bytes
    """The SHA-256 of the request: its method, path, query and body."""
    status: int
    """The status of the answer."""
    headers: str = Field(sa_type=Text)
    """The header fields that the route gave the answer, a line each."""
    body: bytes
    """The body of the answer."""
    is_compressed: bool
    """Whether it is kept in the format of zlib, as every body of more than 1 KiB is."""
    expires_at: int = Field(sa_type=BIG_INTEGER)
    """Until when it is kept, in seconds since 1970 (UTC)."""


# Made once: building a statement and its cache key cost a quarter of a request.
_BY_KEY = select(KeptAnswer).where(col(KeptAnswer.key) == bindparam("key"))
_INSERT = insert(KeptAnswer.__table__).values(
    {name: bindparam(name) for name in KeptAnswer.model_fields if name != "id"}
)


def sent_key(request: Request) -> str | None:
    """The key of a request, None when it has none; raises Invalid when it is none, or not the only one."""
    sent = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not sent:
        return None
    found = _KEY.fullmatch(sent[0]) if len(sent) == 1 else None
    if found is None:
        detail = f"must be given once, as 1 to {MAX_KEY} visible ASCII characters, with quotes around them or without"
        raise Invalid([InvalidValue(pointer=IDEMPOTENCY_KEY["name"], detail=detail, code="idempotency_key")])
    key: bytes = found[1] or found[2]
    return key.decode()


async def digest_of(request: Request) -> bytes:
    """What tells one request from another. Reads the whole body, so that nobody waits for it later."""
    scope = request.scope
    try:
        body = await request.body()
    except ClientDisconnect:
        raise Malformed("The body ended before its end.") from None
    return sha256(b"%s %s?%s\n%s" % (scope["method"].encode(), scope["raw_path"], scope["query_string"], body)).digest()


class Keys:
    """The keys of all requests, and the answers that are kept for so many hours."""

    def __init__(self, hours: int = HOURS) -> None:
        self._seconds = hours * 3600

    async def answer(
        self, key: str, digest: bytes, session: Session, answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The answer that is kept for this key; else that of `answer`, which is kept when it is a success.

        Raises KeyReused when the key is that of another request.
        """
        now = int(time())
        kept = (await session.exec(_BY_KEY, params={"key": key})).first()
        if kept is not None and kept.expires_at > now:
            if kept.digest != digest:
                raise KeyReused
            return _replay(kept)
        if kept is not None:
            await session.exec(delete(KeptAnswer).where(col(KeptAnswer.key) == key))
        response = await answer()
        if 200 <= response.status_code < 300:
            values = {"key": key, "digest": digest, "expires_at": now + self._seconds, **await _values_of(response)}
            await session.commit_with(_INSERT, values)
        return response


async def purge(database: Database) -> int:
    """Delete some of the answers that have expired; how many they were. A full STEP says that there may be more."""
    expires_at = col(KeptAnswer.expires_at)
    expired = select(KeptAnswer.id).where(expires_at <= int(time())).order_by(expires_at)
    some = expired.limit(STEP).with_for_update(skip_locked=True)  # another process may be deleting others
    async with Session(database.writer, ALL_OWNERS, seconds=database.timeout) as session:
        deleted = (await session.exec(delete(KeptAnswer).where(col(KeptAnswer.id).in_(some)))).rowcount
        await session.commit()
    return deleted


async def _values_of(response: Response) -> dict[str, Any]:
    body = bytes(response.body)
    if is_compressed := len(body) > SMALL:
        # A large one takes milliseconds.
        body = await asyncio.to_thread(zlib.compress, body, 1) if len(body) > LARGE else zlib.compress(body, 1)
    headers = b"\n".join(b"%s: %s" % each for each in response.raw_headers).decode("latin-1")
    return {"status": response.status_code, "headers": headers, "body": body, "is_compressed": is_compressed}


def _replay(kept: KeptAnswer) -> Response:
    response = Response(zlib.decompress(kept.body) if kept.is_compressed else kept.body, kept.status)
    fields = (line.partition(b": ") for line in kept.headers.encode("latin-1").splitlines())
    response.raw_headers = [(name, value) for name, _, value in fields] + [(REPLAYED.lower().encode(), b"true")]
    return response
