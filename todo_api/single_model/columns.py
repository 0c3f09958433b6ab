"""The types of columns that SQLModel has none for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, TableClause
from sqlalchemy.dialects.sqlite import DATETIME


class UtcText(DATETIME):
    """An instant as text with the offset of UTC, of one length, so that the order of the text is that of the time."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

    def bind_processor(self, dialect: Any) -> Callable[[datetime | None], str | None]:
        return lambda instant: None if instant is None else instant.isoformat(" ", "microseconds")

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[str | None], datetime | None]:
        # With the offset in the text, one call in C makes an instant of it, at 0.1 µs.
        return lambda text: None if text is None else datetime.fromisoformat(text)


BIG_INTEGER = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on every database; only a column named INTEGER numbers its own rows on SQLite."""
UTC_DATETIME = DateTime(timezone=True).with_variant(UtcText(), "sqlite")
"""An instant, in UTC on every database."""


class IndexTable(TableClause):
    """An index that the migrations keep beside a table, by triggers: it leads to rows, and is never read for itself."""

    inherit_cache = True
