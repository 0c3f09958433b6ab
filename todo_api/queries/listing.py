"""Lists: filtered, sorted and cut into pages, as the query of a request says; all derived from a table class.

A route has a parameter `todos: Listing[TodoItem]`, and says `await todos.respond(session)`.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Annotated, Any, Self, TypeVar

from annotated_types import MaxLen
from fastapi import Request, Response
from pydantic import Field, PrivateAttr, TypeAdapter
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import Row, func
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.session import Session
from todo_api.http.addresses import address_of
from todo_api.http.bodies import JSON
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid
from todo_api.http.room import Room
from todo_api.queries.cursors import Cursor, read_cursor, write_cursor
from todo_api.queries.filters import filters_of
from todo_api.queries.page_statements import Selection, orders
from todo_api.queries.pages import find
from todo_api.queries.query import Query, Shape, restricted
from todo_api.queries.sorting import TEXT_LENGTH, Term, read_sort, sortables
from todo_api.single_model.fields import Digits, TrueOrFalse
from todo_api.single_model.table import Table, column, member_names, write_rows

T = TypeVar("T", bound=Table)

AT_ONCE = 101
"""Rows of a page that are read at once, whatever their length: those of a usual page and one more."""
MAX_PAGE_TEXT = 1024 * 1024
"""Characters of long texts after which a page ends."""


class Listing(Query[T]):
    """The query parameters of a list."""

    limit: Annotated[int, Digits] = Field(
        default=100,
        ge=1,
        le=500,
        description="How many to answer at the most: 1 to 500, and 100 unless sent.",
        examples=[50],
    )
    cursor: str | None = None
    sort: SkipJsonSchema[str | None] = None
    count: TrueOrFalse = Field(
        default=False, description="Whether to count all that match, in `X-Total-Count`.", examples=[True]
    )

    _address: str = PrivateAttr("")
    """Where the list is."""
    _answers: Room = PrivateAttr()
    """The room for large answers."""
    _place: list[Any] | None = PrivateAttr(None)
    """The sort values of the row before the page."""

    @classmethod
    def fields(cls, table: type[Table]) -> dict[str, Any]:
        names = list(sortables(table))
        fields: dict[str, Any] = {
            "cursor": (
                Annotated[str, MaxLen(7000)] | None,
                Field(
                    default=None,
                    description="Where the page begins: `X-Next-Cursor` of the page before. It is enough alone, as it"
                    " holds the filters, the sort and the limit.",
                    examples=[write_cursor(Cursor({}, [100] if table.list_order is None else [7, 100]))],
                ),
            ),
        }
        if table.list_order is None:
            described = Field(default=None, description=_describe_sort(table), examples=[f"{names[-1]},-{names[0]}"])
            fields["sort"] = (Annotated[str, MaxLen(500)] | None, described)
        return fields

    @classmethod
    def part(cls) -> dict[str, Any]:
        rows: Any = list[cls.table]  # type: ignore[name-defined]  # a type made at run time
        headers = ("Link", "X-Next-Cursor", "X-Total-Count")
        return super().part() | {"headers": headers, "response_model": rows}

    @classmethod
    async def read(cls, request: Request) -> Self:
        """The query of a request. A cursor brings its own; filters and sort sent beside it must be the same."""
        sent = await super().read(request)
        query = sent if sent.cursor is None else sent._continue(sent.cursor)
        query._address = address_of(request)
        query._answers = request.state.answers
        await query._answers.wait_for(0, request.state.database.timeout)
        return query

    async def respond(self, session: Session) -> Response:
        """The page that this query asks for; raises Invalid for an unknown sort member or a cursor of another query.

        `Link` (RFC 8288) leads to the next page, and `X-Next-Cursor` has its cursor. The rows go from the database to
        JSON without an object of the class for each, at a third of the cost.
        """
        dialect = session.dialect
        shape, values = self.restrict(dialect)
        sort = next(iter(orders(shape)), "id") if self.sort is None else self.sort
        terms = read_sort(self.table, self.table.list_order or sort)
        after = None if self._place is None else self._read_place(self._place, terms)
        rows = await self._find(session, Selection(self.table, shape, terms, dialect), values, after)
        headers = {}
        size = page_size(self.table, rows, self.limit)
        if len(rows) > size:
            del rows[size:]
            cursor = self._next(rows[-1], terms)
            count = "&count=true" if self.count else ""
            headers = {"Link": f'<{self._address}?cursor={cursor}{count}>; rel="next"', "X-Next-Cursor": cursor}
        if self.count:
            total = await session.exec(count_statement(self.table, shape, dialect), params=values)
            headers["X-Total-Count"] = str(total.one())
        self._answers.check()
        return Response(write_rows(self.table, rows), media_type=JSON, headers=headers)

    async def _find(
        self, session: Session, selection: Selection, values: dict[str, Any], after: Sequence[Any] | None
    ) -> list[Row[Any]]:
        """The rows of the page and one more. Long ones are read bit by bit, as the page may end soon."""
        rows = await find(session, selection, values, after, min(self.limit + 1, AT_ONCE))
        size = AT_ONCE
        while size == len(rows) <= page_size(self.table, rows, self.limit):
            length = _length(self.table, rows)
            few = size * (MAX_PAGE_TEXT - length) // (length + 1)
            step = min(self.limit + 1 - size, max(few, 1))
            after = [sortables(self.table)[term.name].value_of(rows[-1]) for term in selection.terms]
            rows += await find(session, selection, values, after, step)
            size += step
        return rows

    def _continue(self, text: str) -> Self:
        """The query of a cursor, with what was sent beside it."""
        try:
            cursor = read_cursor(text)
            if not cursor.query.keys() <= type(self).model_fields.keys() - {"cursor"}:
                raise ValueError("unknown parameters")
            query = type(self).model_validate(cursor.query)
        except ValueError:
            raise _no_cursor() from None
        beside = self.model_fields_set - {"cursor", "limit", "count"}
        if self.model_dump(mode="json", include=beside) != query.model_dump(mode="json", include=beside):
            raise _no_cursor()
        free = self.model_fields_set & {"limit", "count"}
        query = query.model_copy(update={name: getattr(self, name) for name in free})
        query._place = cursor.place
        return query

    def _next(self, last: Row[Any], terms: tuple[Term, ...]) -> str:
        found = [sortables(self.table)[term.name] for term in terms]
        place = [each.type.dump_python(each.value_of(last), mode="json") for each in found]
        query = self.model_dump(mode="json", exclude_unset=True, exclude={"cursor", "count"})
        return write_cursor(Cursor({name: _as_sent(value) for name, value in query.items()}, place))

    def _read_place(self, place: list[Any], terms: tuple[Term, ...]) -> list[Any]:
        """The sort values of a cursor, each checked by the rules of its member."""
        try:
            kinds = [sortables(self.table)[term.name].type for term in terms]
            return [_as_written(value, kind) for value, kind in zip(place, kinds, strict=True)]
        except (ValueError, TypeError):
            raise _no_cursor() from None


def _as_written(value: Any, kind: TypeAdapter[Any]) -> Any:
    """A sort value out of a cursor; raises ValueError for one that this server has not written so."""
    read = kind.validate_python(value)
    written = kind.dump_python(read, mode="json")
    if type(written) is not type(value) or written != value:
        raise ValueError("another form")
    return read


def _no_cursor() -> Invalid:
    detail = "is not the cursor of a page of this list with this sort and these filters"
    return Invalid([InvalidValue(pointer="cursor", detail=detail, code="cursor")])


def page_size(table: type[Table], rows: Sequence[Any], limit: int) -> int:
    """How many of the rows fit on a page: at most `limit`, and fewer when their long texts pass 1 MiB."""
    length = 0
    for number, row in enumerate(rows[:limit], 1):
        length += _length(table, [row])
        if length > MAX_PAGE_TEXT:
            return number
    return limit


def _length(table: type[Table], rows: Sequence[Any]) -> int:
    """The characters of the long texts of rows."""
    long = _long_texts(table)
    return sum(len(row[index] or "") for row in rows for index in long)


@cache
def _long_texts(table: type[Table]) -> list[int]:
    """The places of members that may hold a long text."""
    lengths = [getattr(column(table, name).type, "length", None) or 0 for name in member_names(table)]
    return [index for index, length in enumerate(lengths) if length > TEXT_LENGTH]


def _describe_sort(table: type[Table]) -> str:
    ranges = dict.fromkeys(
        f"`{each.order(member, tuple(each.parameters(member, table.model_fields[member])))}`"
        for each, member in filters_of(table).items()
    )
    ranges.pop("`id`", None)
    otherwise = "the order is that of `id`"
    if ranges:
        otherwise = (
            "a list with a range such as `created_after` is in the order of the member that is bounded, the first of"
            f" {', '.join(ranges)}; any other in that of `id`"
        )
    found = sortables(table).items()
    members = ", ".join(f"`{name}` ({each.meaning})" if each.meaning else f"`{name}`" for name, each in found)
    return (
        "The members to sort by, separated by commas, with `-` before one for descending order. Null comes last in both"
        " directions; ties are broken by `id`, in the direction of the last member; text is in the order of its code"
        f" points, of which the first {TEXT_LENGTH} count. Unless `sort` is sent, {otherwise}."
        f" Members: {members}."
    )


@lru_cache(maxsize=512)
def count_statement(table: type[Table], shape: Shape, dialect: str) -> SelectOfScalar[int]:
    """How many rows match."""
    return restricted(select(func.count()).select_from(table), table, shape, dialect)


def _as_sent(value: Any) -> Any:
    """A value as a URL has it."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
