"""What a page of 50 costs on 1,000,000 todos, next to the same page on 1,000: for every filter and every sort.

The filters and sorts are those of the OpenAPI document, so a new one is measured without a word here.
"""

import asyncio
import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from tests.applications import sort_members
from tests.benchmark.direct import Direct, running
from tests.benchmark.rows import COMMON, RARE, UNCOMMON, fill
from tests.databases import Backend, SQLite, postgresql

PAGE = 50
LIMIT = 5.0
"""How many times the page of the small table a page of the large one may cost."""
WALK = 3.0
"""Seconds that the walk to a deep page may take."""
WORDS = (COMMON, UNCOMMON, RARE, "nothing")
SAMPLES: dict[str, tuple[str, ...]] = {
    "q": (*WORDS, f"{COMMON} bread", "bread presents", f"{UNCOMMON} bread", "mi", f"{COMMON} mi"),
    "tag": (*WORDS, f"{COMMON}&tag=shopping", "shopping&tag=family"),
    "ids": ("1&ids=2&ids=900",),
    "priority": ("0", "9"),
    "priority_min": ("1", "9"),
    "priority_max": ("1", "9"),
    "complete": ("true", "false"),
    "overdue": ("true", "false"),
    "has_due": ("true", "false"),
}
"""Values that many todos have, and values that few have; of another parameter, its examples in the document."""
INSTANTS = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
COMBINED = (
    "complete=false&priority_min=5",
    f"complete=false&tag={COMMON}",
    f"complete=false&q={COMMON}",
    f"tag={COMMON}&q={UNCOMMON}",
    f"q={COMMON}&sort=-created_at",
    f"tag={COMMON}&sort=-created_at",
    "complete=false&sort=position",
    "complete=false&sort=due",
    "complete=false&sort=-created_at",
    "sort=complete,position",
    "sort=-priority,due",
    f"q={COMMON}&sort=-due",
    f"q={COMMON}&sort=task",  # beyond the limit: all that match stand far from the beginning of this order
    f"q={COMMON}&overdue=true",
    f"tag={COMMON}&priority_min=1",
    "has_due=true&sort=position",
    "priority=8&sort=position",
    "ids=5&ids=8&sort=-created_at",
)
"""What clients combine."""


class Measured(NamedTuple):
    """A page of one table: how long it took, how many todos it had, and its query."""

    seconds: float
    rows: int
    query: str


def queries(document: dict[str, Any]) -> Iterator[str]:
    """Each filter with common and rare values, each sort in both directions, and what clients combine."""
    yield ""
    for parameter in document["paths"]["/todos"]["get"]["parameters"]:
        name, schema = parameter["name"], parameter["schema"]
        if name == "sort":
            yield from (f"sort={sign}{member}" for member in sort_members(document) for sign in ("", "-"))
        elif name not in ("limit", "cursor", "count", "tz"):
            examples = SAMPLES.get(name)
            if examples is None:
                examples = INSTANTS if "T" in str(schema) else (str(parameter["example"]),)
            yield from (f"{name}={value if '&' in value else quote_plus(value)}" for value in examples)
    yield from COMBINED


async def measure(app: Direct, query: str, size: int) -> tuple[Measured, Measured]:
    """The first page and a deep one."""
    first = await _page(app, f"{query}&limit={PAGE}".lstrip("&"))
    return first, await _page(app, await _deep(app, query, size) or first.query)


async def _page(app: Direct, query: str) -> Measured:
    status, _, body = await app.get("/todos", query)
    if status != 200:
        raise SystemExit(f"tests.benchmark: GET /todos?{query} answered {status}: {body.decode()}")
    return Measured(await app.seconds(query), len(json.loads(body)), query)


async def _deep(app: Direct, query: str, size: int = PAGE, pages: int = 100) -> str | None:
    """The query of the last page that can be reached by so many steps and is full."""
    found: list[str] = []
    following: str | None = f"{query}&limit={size}".lstrip("&")
    deadline = time.monotonic() + WALK
    while following and len(found) < pages and time.monotonic() < deadline:
        _, headers, _ = await app.get("/todos", following)
        following = headers["link"].split(">")[0].partition("?")[2] if "link" in headers else None
        if following:
            found.append(f"{following}&limit={PAGE}")
    return found[-2:][0] if found else None


def main(options: Namespace) -> None:
    for database in options.databases:
        print(f"\n{database}: the same page on {options.small:,} and on {options.large:,} todos\n", flush=True)
        with ExitStack() as stack:
            backend: Backend = (
                SQLite(Path(stack.enter_context(tempfile.TemporaryDirectory())))
                if database == "sqlite"
                else stack.enter_context(postgresql())
            )
            small, large = backend.migrated(), backend.migrated()
            fill(small, options.small)
            fill(large, options.large)
            asyncio.run(compare(small, large, explain=options.explain))


async def compare(small: str, large: str, *, explain: bool) -> None:
    """Print each query on both tables, and on demand how the database goes about those beyond the limit."""
    print("| query | page | µs (todos) | µs (todos) | ratio |\n|---|---|---|---|---|")
    beyond = []
    async with running(small) as one, running(large) as other:
        document = json.loads((await one.get("/openapi.json"))[2])
        for query in queries(document):
            pages = zip(await measure(one, query, PAGE), await measure(other, query, 500), strict=True)
            for name, (few, many) in zip(("first", "deep"), pages, strict=True):
                ratio = many.seconds / few.seconds
                figures = " | ".join(f"{each.seconds * 1e6:.0f} ({each.rows})" for each in (few, many))
                mark = "**" if ratio > LIMIT else ""
                print(f"| {query or 'no query'} | {name} | {figures} | {mark}{ratio:.1f}{mark} |", flush=True)
                if ratio > LIMIT:
                    beyond.append(many.query)
        for query in beyond if explain else ():
            for statement, parameters in await other.statements(query):
                plan = await other.plan(statement, parameters)
                print("", query, statement, parameters, plan, sep="\n")
