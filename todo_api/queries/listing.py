"""Lists: filtered, sorted and cut into pages, as the query of a request says; all derived from a table class.

A route has a parameter `todos: Listing[TodoItem]`, and says `await todos.respond(session)`. A cursor holds the sort
values of the last row of a page, and the fingerprint of the query that it belongs to.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2s
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from annotated_types import MaxLen
from fastapi import Response
from pydantic import Field, StringConstraints
from sqlalchemy import Row, func
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.session import Session
from todo_api.http.bodies import JSON
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid
from todo_api.queries.filters import filters_of
from todo_api.queries.page_statements import Selection, orders
from todo_api.queries.pages import find
from todo_api.queries.query import Query, Shape, restricted
from todo_api.queries.sorting import TEXT_LENGTH, Term, read_sort, sortables
from todo_api.single_model.fields import Digits, TrueOrFalse
from todo_api.single_model.table import Table, write_rows

T = TypeVar("T", bound=Table)


class Listing(Query[T]):
    """The query parameters of a list."""

    limit: Annotated[int, Digits] = Field(
        default=100, ge=1, le=500, description="How many to answer at the most.", examples=[50]
    )
    cursor: str | None = None
    sort: str | None = None
    count: TrueOrFalse = Field(
        default=False, description="Whether to count all that match, in `X-Total-Count`.", examples=[True]
    )

    @classmethod
    def fields(cls, table: type[Table]) -> dict[str, Any]:
        names = list(sortables(table))
        choice = "|".join(names)
        return {
            "cursor": (
                Annotated[str, MaxLen(6000), StringConstraints(pattern="^[A-Za-z0-9_-]+$")] | None,
                Field(
                    default=None,
                    description="Where the page begins: out of the `Link` of the page before, all else the same.",
                    examples=[_write_cursor(_fingerprint("{}"), [100])],
                ),
            ),
            "sort": (
                str | None,
                Field(
                    default=None,
                    description=_describe_sort(table),
                    examples=[f"-{names[0]}"],
                    json_schema_extra={"pattern": f"^-?({choice})(,-?({choice}))*$"},
                ),
            ),
        }

    @classmethod
    def part(cls) -> dict[str, Any]:
        return super().part() | {"headers": ("Link", "X-Total-Count"), "response_model": list[cls.table]}  # type: ignore[name-defined]

    async def respond(self, session: Session) -> Response:
        """The page that this query asks for; raises Invalid for an unknown sort member or a cursor of another query.

        `Link` (RFC 8288) leads to the next one, relative to the address of the list, so that it is right behind any
        proxy. The rows go from the database to JSON without an object of the class for each, at a third of the cost.
        """
        dialect = session.dialect
        shape, values = self.restrict(dialect)
        terms = read_sort(self.table, next(iter(orders(shape)), "id") if self.sort is None else self.sort)
        after = None if self.cursor is None else self._read(self.cursor, terms)
        rows = await find(session, Selection(self.table, shape, terms, dialect), values, after, self.limit + 1)
        headers = {}
        if len(rows) > self.limit:
            del rows[self.limit :]
            headers["Link"] = f'<?{self._next(rows[-1], terms)}>; rel="next"'
        if self.count:
            total = await session.exec(count_statement(self.table, shape, dialect), params=values)
            headers["X-Total-Count"] = str(total.one())
        return Response(write_rows(self.table, rows), media_type=JSON, headers=headers)

    def _next(self, last: Row[Any], terms: tuple[Term, ...]) -> str:
        found = [sortables(self.table)[term.name] for term in terms]
        values = [each.type.dump_python(each.value_of(last), mode="json") for each in found]
        query = self.model_dump(mode="json", exclude_unset=True) | {
            "cursor": _write_cursor(self._fingerprint(), values)
        }
        return urlencode({name: _as_sent(value) for name, value in query.items()}, doseq=True)

    def _read(self, cursor: str, terms: tuple[Term, ...]) -> list[Any]:
        """The sort values in a cursor, each checked by the rules of its member."""
        try:
            fingerprint, *values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if fingerprint == self._fingerprint() and len(values) == len(terms):
                return [
                    sortables(self.table)[term.name].type.validate_python(value)
                    for term, value in zip(terms, values, strict=True)
                ]
        except (ValueError, TypeError, RecursionError):
            pass  # whatever is wrong with it, the client is told the same below
        detail = "is not the cursor of a page of this list with this sort and these filters"
        raise Invalid([InvalidValue(pointer="cursor", detail=detail, code="cursor")])

    def _fingerprint(self) -> str:
        return _fingerprint(self.model_dump_json(exclude={"limit", "cursor", "count"}, exclude_none=True))


def _describe_sort(table: type[Table]) -> str:
    ranges = dict.fromkeys(
        f"`{each.order(member, tuple(each.parameters(member, table.model_fields[member])))}`"
        for each, member in filters_of(table).items()
    )
    del ranges["`id`"]
    found = sortables(table).items()
    members = ", ".join(f"`{name}` ({each.meaning})" if each.meaning else f"`{name}`" for name, each in found)
    return (
        "The members to sort by, separated by commas, with `-` before one for descending order. Null comes last in both"
        " directions; ties are broken by `id`, in the direction of the last member; text is in the order of its code"
        f" points, of which the first {TEXT_LENGTH} count. Unless `sort` is sent, a list with a range such as"
        " `created_after` is in the order of the member that is bounded, the first of"
        f" {', '.join(ranges)}; any other in that of `id`. Members: {members}."
    )


@lru_cache(maxsize=512)
def count_statement(table: type[Table], shape: Shape, dialect: str) -> SelectOfScalar[int]:
    """How many rows match."""
    return restricted(select(func.count()).select_from(table), table, shape, dialect)


def _as_sent(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


@lru_cache
def _fingerprint(query: str) -> str:
    return blake2s(query.encode(), digest_size=8).hexdigest()


def _write_cursor(fingerprint: str, values: list[Any]) -> str:
    content = json.dumps([fingerprint, *values], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(content.encode()).decode().rstrip("=")
