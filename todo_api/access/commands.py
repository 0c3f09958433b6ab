"""The commands of the operator: make, list and revoke tokens, and rename an owner."""

import asyncio
import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlmodel import col, delete, func, select, update

from todo_api.access.tokens import AccessToken, digest, new_token
from todo_api.database.counters import Counted
from todo_api.database.engines import Database
from todo_api.database.owners import ALL_OWNERS, Owned, owned_tables
from todo_api.database.schema import StartupError, connect, one_line
from todo_api.database.session import Session
from todo_api.http.idempotency import KeptAnswer
from todo_api.settings import Settings
from todo_api.single_model.changes import changes_of_many

SECONDS_OF_A_DAY = 24 * 60 * 60
MAX_DAYS = 3650


def add_to(nouns: Any) -> None:
    """Give `python -m todo_api` the commands of this module; `nouns` are its subparsers."""
    token = nouns.add_parser("token", help="make, list and revoke the tokens of TODO_AUTH=token")
    verbs = token.add_subparsers(required=True, metavar="COMMAND")

    create = verbs.add_parser("create", help="make a token, and print it this one time")
    create.add_argument("owner", type=_owner, help="whose todos it leads to")
    create.add_argument("--name", type=_name, help="what it is for")
    create.add_argument("--read-only", action="store_true", help="it can't change anything")
    create.add_argument("--days", type=_days, default=90, help="how long it is valid (default: %(default)s)")
    create.set_defaults(run=create_token)

    list_ = verbs.add_parser("list", help="print what is known of every token, which is not the token")
    list_.set_defaults(run=list_tokens)

    revoke = verbs.add_parser("revoke", help="end a token at once")
    revoke.add_argument("id", type=int, help="of the list")
    revoke.set_defaults(run=revoke_token)

    owner = nouns.add_parser("owner", help="give the todos and tokens of an owner another one")
    verbs = owner.add_subparsers(required=True, metavar="COMMAND")
    rename = verbs.add_parser("rename", help="give all that is `old`'s to `new`")
    rename.add_argument("old", type=_owner)
    rename.add_argument("new", type=_owner)
    rename.add_argument(
        "--merge", action="store_true", help="even when `new` has todos, which can't be told apart then"
    )
    rename.set_defaults(run=rename_owner)


def run(options: Namespace, settings: Settings) -> None:
    """Run the chosen command; what can't be done ends the process with a line that says why."""

    async def work() -> str:
        async with _session(settings) as session:
            done: str = await options.run(session, options)
        return done  # when it is committed

    try:
        print(asyncio.run(work()))
    except StartupError as error:
        raise SystemExit(f"todo_api: {error}") from None
    except DBAPIError as error:
        raise SystemExit(f"todo_api: {one_line(error.orig or error)}") from None


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[Session]:
    database = Database(settings.database_url, timeout=settings.database_timeout)
    try:
        async with connect(database.engine):
            pass  # it can be reached
        async with Session(database.writer, ALL_OWNERS) as session:
            if session.dialect == "postgresql":
                await session.exec(select(func.set_config("statement_timeout", "0", True)))
            yield session
    finally:
        await database.dispose()


async def create_token(session: Session, options: Namespace) -> str:
    token = new_token()
    session.add(
        AccessToken(
            owner=options.owner,
            name=options.name,
            read_only=options.read_only,
            expires_at=int(time()) + options.days * SECONDS_OF_A_DAY,
            digest=digest(token),
        )
    )
    await session.commit()
    return token


async def list_tokens(session: Session, options: Namespace) -> str:
    rows = [("ID", "OWNER", "MAY", "UNTIL", "NAME")]
    for token in await session.exec(select(AccessToken).order_by(col(AccessToken.id))):
        may = "read" if token.read_only else "read, write"
        until = f"{datetime.fromtimestamp(token.expires_at, UTC):%Y-%m-%d %H:%M} UTC"
        expired = " (expired)" if token.expires_at <= time() else ""
        rows.append((str(token.id), token.owner, may, until + expired, token.name or ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


async def revoke_token(session: Session, options: Namespace) -> str:
    token = await session.get(AccessToken, options.id)
    if token is None:
        raise SystemExit(f"todo_api: there is no token {options.id}; see: python -m todo_api token list")
    await session.delete(token)
    await session.commit()
    return f"revoked token {token.id} of {token.owner}"


async def rename_owner(session: Session, options: Namespace) -> str:
    old, new = options.old, options.new
    machinery = (KeptAnswer, AccessToken)  # which may be there without todos
    tables = sorted(owned_tables(), key=lambda table: (table in machinery, table.__tablename__))
    if not options.merge and any([await _count(session, table, new) for table in tables if table not in machinery]):
        raise SystemExit(f"todo_api: {new} has todos already; with --merge, those of {old} join them for good")
    given = {table.__tablename__: await _give(session, table, old, new) for table in tables}
    if not any(given.values()):
        raise SystemExit(f"todo_api: {old} has no todos and no tokens, so nothing was renamed")
    await session.commit()
    return f"{new} has what was {old}'s: " + ", ".join(f"{count} {table}" for table, count in given.items())


async def _count(session: Session, table: type[Owned], owner: str) -> int:
    return (await session.exec(select(func.count()).select_from(table).where(col(table.owner) == owner))).one()


async def _give(session: Session, table: type[Owned], old: str, new: str) -> int:
    """Give the rows of one owner to another; how many there were. Of two answers with one key, the receiver's stays."""
    if table is KeptAnswer:
        keys = select(KeptAnswer.key).where(col(KeptAnswer.owner) == new)
        await session.exec(delete(table).where(col(table.owner) == old, col(KeptAnswer.key).in_(keys)))
    values = changes_of_many(table, {"owner": new})
    if issubclass(table, Counted):
        values["change"] = await session.number(new)
    return (await session.exec(update(table).where(col(table.owner) == old).values(values))).rowcount


def _owner(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", text):
        raise ArgumentTypeError("must be 1 to 64 letters, digits or . _ @ + - and begin with one of the first two")
    return text


def _name(text: str) -> str:
    if not (1 <= len(text) <= 80 and text.isprintable() and not text.isspace()):
        raise ArgumentTypeError("must be 1 to 80 characters on one line")
    return text


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DAYS):
        raise ArgumentTypeError(f"must be 1 to {MAX_DAYS}")
    return int(text)
