"""Purging: what was kept for its time is deleted for good, in small steps while the server runs.

That is what is in the trash, and the answers to requests with an `Idempotency-Key`.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, delete, select

from todo_api.database.counters import Owner
from todo_api.database.engines import Database
from todo_api.database.owners import ALL_OWNERS
from todo_api.database.session import Session
from todo_api.database.statements import is_among
from todo_api.http import idempotency
from todo_api.http.database_errors import KINDS
from todo_api.logs import logger
from todo_api.models import DeletedTodo
from todo_api.single_model.fields import utc_now
from todo_api.single_model.table import column

DELAY: Final = 10.0
"""Seconds until the first round."""
INTERVAL: Final = 600.0
"""Seconds between two rounds."""
STEP: Final = 500
"""Todos that are purged in one transaction: some milliseconds, for which other writes wait."""
PAUSE: Final = 0.1
"""Seconds between two steps."""


async def keep_purging(database: Database, days: int) -> None:
    """Purge answers, and what was deleted more than so many days ago, now and again until this is cancelled."""
    pause = DELAY
    while True:
        await asyncio.sleep(pause)
        pause = INTERVAL
        try:
            await _purge_answers(database)
            await _purge_trash(database, utc_now() - timedelta(days=days))
        except KINDS as error:  # a busy database, or a lost one: the next round goes on
            logger.warning("what was kept for its time was not purged: %s", type(error).__name__)


async def _purge_answers(database: Database) -> None:
    count = idempotency.STEP
    while count == idempotency.STEP:
        count = await idempotency.purge(database)
        await asyncio.sleep(PAUSE)


async def _purge_trash(database: Database, before: datetime) -> None:
    """One round: as every step looks anew, several processes may do the same at once."""
    is_old = col(DeletedTodo.deleted_at) < before
    has_old = select(DeletedTodo.id).where(col(DeletedTodo.owner) == Owner.owner, is_old).exists()
    oldest = select(DeletedTodo.id).where(is_old).order_by(col(DeletedTodo.deleted_at)).limit(STEP)
    async with Session(database.reader, ALL_OWNERS) as session:
        owners = (await session.exec(select(Owner.owner).where(has_old))).all()
    for owner in owners:
        count = STEP
        while count == STEP:
            async with Session(database.writer, owner, seconds=database.timeout) as session:
                old = delete(DeletedTodo).where(is_among(column(DeletedTodo, "id"), oldest, session.dialect))
                count = (await session.exec(old)).rowcount
                await session.commit()
            await asyncio.sleep(PAUSE)
