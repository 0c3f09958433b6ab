"""Todos as people have them, many and fast: the same ones for the same number, written past the API."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import URL, make_url

from todo_api.features.move import STEP
from todo_api.single_model.folding import fold

COLUMNS = (
    "owner",
    "id",
    "task",
    "notes",
    "complete",
    "due_on",
    "due_at",
    "priority",
    "tags",
    "list_id",
    "parent_id",
    "position",
    "created_at",
    "updated_at",
    "completed_at",
    "version",
    "task_folded",
    "notes_folded",
)
VERBS = [
    "buy",
    "call",
    "wrap",
    "fix",
    "read",
    "send",
    "plan",
    "pay",
    "clean",
    "book",
    "find",
    "water",
    "paint",
    "return",
]
THINGS = [
    *("bread", "presents", "bicycle", "report", "letter", "invoice", "garden", "window", "flight", "dentist", "recipe"),
    *("battery", "curtain", "passport", "guitar", "printer", "camera", "kitchen", "blanket", "charger", "ladder"),
]
PLACES = ["home", "work", "school", "office", "market", "station", "library", "cellar"]
TAGS = ["shopping", "family", "work", "garden", "travel", "health", "money", "music"]
COMMON, UNCOMMON, RARE = "milk", "violin", "zeppelin"
"""A word in the tasks, and a tag, of every third todo; of one in 1,000; of two todos, however many there are."""


def rows(first: int, count: int) -> Iterator[tuple[Any, ...]]:
    """The values of `COLUMNS` for so many todos, from this id on; one is created each minute up to now."""
    # Not for secrets: the same todos come in every run.
    dice = random.Random(first)  # noqa: S311  # the same rows each time, no secret
    now = datetime.now(UTC).replace(microsecond=0)
    today = now.date()
    for number in range(first, first + count):
        words = [dice.choice(VERBS), dice.choice(THINGS), "for", dice.choice(PLACES), str(number)]
        tags = dice.sample(TAGS, dice.choice((0, 0, 1, 1, 2)))
        if special := _special(number, first + count - 1):
            words.insert(1, special)
            tags.append(special)
        created = now - timedelta(minutes=first + count - number, microseconds=dice.randrange(10**6))
        updated = created + timedelta(seconds=dice.randrange(10**5) if dice.random() < 0.5 else 0)
        complete = dice.random() < 0.6
        due_on, due_at = _due(dice, created, today)
        notes = f"{dice.choice(VERBS)} the {dice.choice(THINGS)} too" if dice.random() < 0.3 else None
        task = " ".join(words)
        priority = dice.choice((0, 0, 0, 0, 1, 2, 3, 5, 5, 5, 7, 9))
        done = updated if complete else None
        yield (
            *("local", number, task, notes, complete, due_on, due_at, priority, json.dumps(tags)),
            *_place(number, first),
            *(number * STEP, created, updated, done, dice.choice((1, 1, 2, 3)), fold(task), notes and fold(notes)),
        )


LISTS = 11


def _place(number: int, first: int) -> tuple[int | None, int | None]:
    """The list and the parent: of five todos in a row, which are in one list or in none, the last is a subtask."""
    family, place = divmod(number, 5)
    parent = family * 5 if place == 4 and family * 5 >= first else None
    return family % (LISTS + 1) or None, parent


def _special(number: int, last: int) -> str | None:
    if number in (3, last):
        return RARE
    if number % 1000 == 500:
        return UNCOMMON
    return COMMON if number % 3 == 1 else None


def _due(dice: random.Random, created: datetime, today: date) -> tuple[date | None, datetime | None]:
    """Two of three are due, on a day or at an instant, from a month ago to a year ahead."""
    days = dice.randrange(-30, 365)
    match dice.randrange(3):
        case 0:
            return today + timedelta(days=days), None
        case 1:
            return None, created.replace(year=today.year, month=1, day=1) + timedelta(days=300 + days)
    return None, None


def fill(url: str, count: int) -> int:
    """Add so many todos to a migrated database; the first one's id."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _fill_sqlite(str(parsed.database), count)
    return asyncio.run(_fill_postgresql(parsed, count))


_LISTS = "".join(
    "INSERT INTO todo_lists (id, owner, name, position, created_at, updated_at, version) VALUES"
    f" ({number}, 'local', 'List {number}', {number * STEP}, '{now}', '{now}', 1) ON CONFLICT DO NOTHING;"
    for number in range(1, LISTS + 1)
    for now in ["2026-11-25 09:30:00.000000+00:00"]
)
_SEQUENCE = "SELECT setval(pg_get_serial_sequence('todo_items', 'id'), max(id)) FROM todo_items"
_LAST = "SELECT coalesce(max(id), 0) FROM todo_items"


def _fill_sqlite(path: str, count: int) -> int:
    with sqlite3.connect(path, timeout=60) as connection:
        connection.execute("PRAGMA cache_size = -1000000")
        connection.executescript(f"BEGIN IMMEDIATE; {_LISTS}")
        first: int = connection.execute(_LAST).fetchone()[0] + 1
        values = ", ".join("?" for _ in COLUMNS)
        statement = f"INSERT INTO todo_items ({', '.join(COLUMNS)}) VALUES ({values})"
        connection.executemany(statement, (tuple(_as_text(value) for value in row) for row in rows(first, count)))
    connection.close()
    return first


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return value.isoformat() if isinstance(value, date) else value


async def _fill_postgresql(url: URL, count: int) -> int:
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE todo_items IN EXCLUSIVE MODE")
            await connection.execute(_LISTS)
            first: int = await connection.fetchval(_LAST) + 1
            await connection.copy_records_to_table("todo_items", records=rows(first, count), columns=COLUMNS)
            await connection.execute(_SEQUENCE)
        await connection.execute("VACUUM ANALYZE todo_items")  # what autovacuum does in a minute
        await connection.execute("VACUUM ANALYZE todo_items_tags")
    finally:
        await connection.close()
    return first
