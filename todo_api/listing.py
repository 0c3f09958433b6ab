"""Lists: which rows, in which order, from where on; derived from a table class.

A route says `await Listing[TodoItem].read(request).fetch(session)`. Each member marked `Filterable` is a parameter of
its own name, text marked `Searchable` is what `q` looks in, and every member can be sorted by. The same declaration
makes the statement, the check and the document.

A cursor holds the sort values of the last row of a page, and the fingerprint of the query that it belongs to.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache, lru_cache
from hashlib import blake2s
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Self, TypeVar
from urllib.parse import urlencode

from annotated_types import MaxLen, MinLen
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError, create_model
from sqlmodel.ext.asyncio.session import AsyncSession

from todo_api.fields import Digits, Id, Line, TrueOrFalse
from todo_api.problems import Invalid, InvalidValue, did_you_mean
from todo_api.selection import Filterable, Searchable, Term, count_statement, like_pattern, marked, page_statement
from todo_api.table import Table, member_names

T = TypeVar("T", bound=Table)


class Page(NamedTuple, Generic[T]):
    """The rows of one page, the query string of the next page if there is one, and how many rows there are if asked."""

    rows: list[T]
    next: str | None
    total: int | None

    @property
    def headers(self) -> dict[str, str]:
        """`Link` (RFC 8288), relative to the address of the list, so that it is right behind any proxy; the count."""
        headers = {}
        if self.next is not None:
            headers["Link"] = f'<?{self.next}>; rel="next"'
        if self.total is not None:
            headers["X-Total-Count"] = str(self.total)
        return headers


class Listing(BaseModel, Generic[T]):
    """The query parameters of a list; `Listing[TodoItem]` adds those of the members of TodoItem."""

    table: ClassVar[type[Table]]
    repeatable: ClassVar[set[str]]

    limit: Annotated[int, Digits] = Field(
        default=100, ge=1, le=500, description="How many to answer at the most.", examples=[50]
    )
    cursor: str | None = Field(default=None)
    sort: str | None = Field(default=None)
    q: str | None = Field(default=None)
    count: TrueOrFalse = Field(
        default=False, description="Whether to count all that match, in `X-Total-Count`.", examples=[True]
    )
    ids: list[Annotated[Id, Digits]] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Only those with one of these ids.",
        examples=[[1, 2]],
    )

    def __class_getitem__(cls, table: Any) -> Any:
        return _listing(table) if isinstance(table, type) and issubclass(table, Table) else cls

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """The `openapi_extra` of an operation that reads this query."""
        schemas = {name: _present(schema) for name, schema in cls.model_json_schema()["properties"].items()}
        return {
            "parameters": [
                {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}
                for name, schema in schemas.items()
            ]
        }

    @classmethod
    def read(cls, request: Request) -> Self:
        """The query of a request; raises RequestValidationError.

        FastAPI would do the same, but looks at every parameter anew in each request: 130 µs for seven of them.
        """
        sent = request.query_params
        values = {name: sent.getlist(name) if name in cls.repeatable else sent[name] for name in sent}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RequestValidationError([each | {"loc": ("query", *each["loc"])} for each in error.errors()]) from None

    async def fetch(self, session: AsyncSession) -> Page[T]:
        """The page that this query asks for; raises Invalid for an unknown sort member or a cursor of another query."""
        terms = self._terms()
        filters = self._filters()
        parameters = filters | {"limit": self.limit + 1}
        if self.cursor is not None:
            values = self._read(self.cursor, terms)
            parameters |= {f"after_{number}": value for number, value in enumerate(values)}
        statement = page_statement(self.table, tuple(filters), terms, self.cursor is not None)
        rows: list[Any] = list(await session.exec(statement, params=parameters))
        more = len(rows) > self.limit
        del rows[self.limit :]
        total = None
        if self.count:
            total = (await session.exec(count_statement(self.table, tuple(filters)), params=filters)).one()
        return Page(rows, self._next(rows[-1], terms) if more else None, total)

    def _terms(self) -> tuple[Term, ...]:
        if self.sort is None:
            return (Term("id", False),)
        known = member_names(self.table)
        terms: dict[str, Term] = {}
        for text in self.sort.split(","):
            member = text.removeprefix("-")
            if member not in known:
                hint = did_you_mean(member, known) or f"; the known ones are {', '.join(known)}"
                raise Invalid(
                    [InvalidValue(pointer="sort", detail=f"names an unknown member{hint}", code="unknown_member")]
                )
            terms.setdefault(member, Term(member, text.startswith("-")))
        terms.setdefault("id", Term("id", False))
        # What stands behind the unique id cannot change the order.
        ordered = list(terms.values())
        return tuple(ordered[: ordered.index(terms["id"]) + 1])

    def _filters(self) -> dict[str, Any]:
        """The values that restrict the list, by the names of their bound parameters."""
        filters = {name: value for name in marked(self.table, Filterable) if (value := getattr(self, name)) is not None}
        if self.ids is not None:
            filters["ids"] = self.ids
        words = [] if self.q is None else self.q.split()
        return filters | {f"q_{number}": like_pattern(word) for number, word in enumerate(words)}

    def _next(self, last: Table, terms: tuple[Term, ...]) -> str:
        members = last.model_dump(mode="json")
        cursor = _write_cursor(self._fingerprint(), [members[term.member] for term in terms])
        query = self.model_dump(mode="json", exclude_unset=True) | {"cursor": cursor}
        return urlencode({name: _as_sent(value) for name, value in query.items()}, doseq=True)

    def _read(self, cursor: str, terms: tuple[Term, ...]) -> list[Any]:
        """The sort values in a cursor, each checked by the rules of its member."""
        try:
            fingerprint, *values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if fingerprint == self._fingerprint() and len(values) == len(terms):
                return [
                    _adapter(self.table, term.member).validate_python(value)
                    for term, value in zip(terms, values, strict=True)
                ]
        except (ValueError, TypeError, RecursionError):
            pass  # whatever is wrong with it, the client is told the same below
        detail = "is not the cursor of a page of this list with this sort and these filters"
        raise Invalid([InvalidValue(pointer="cursor", detail=detail, code="cursor")])

    def _fingerprint(self) -> str:
        return _fingerprint(self.model_dump_json(exclude={"limit", "cursor", "count"}, exclude_none=True))


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is there: absent is not null, of which a URL has no notion."""
    for kind in schema.pop("anyOf", []):
        if kind.get("type") != "null":
            schema |= kind
    if schema.get("default", "") is None:
        del schema["default"]
    del schema["title"]
    return schema


def _as_sent(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


@lru_cache
def _fingerprint(query: str) -> str:
    return blake2s(query.encode(), digest_size=8).hexdigest()


def _write_cursor(fingerprint: str, values: list[Any]) -> str:
    content = json.dumps([fingerprint, *values], separators=(",", ":"))
    return urlsafe_b64encode(content.encode()).decode().rstrip("=")


@cache
def _listing(table: type[Table]) -> type[Listing[Any]]:
    members = member_names(table)
    fields: dict[str, Any] = {
        "cursor": (
            Annotated[str, MaxLen(8192), StringConstraints(pattern="^[A-Za-z0-9_-]+$")] | None,
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
                description="The members to sort by, separated by commas, with `-` before one for descending order;"
                f" `id` unless sent. Members: {', '.join(members)}.",
                examples=[f"-{members[0]}"],
                json_schema_extra={"pattern": f"^-?({'|'.join(members)})(,-?({'|'.join(members)}))*$"},
            ),
        ),
    }
    for name in marked(table, Filterable):
        kind: Any = table.model_fields[name].annotation
        kind = TrueOrFalse if kind is bool else kind
        examples = table.model_fields[name].examples
        fields[name] = (
            kind | None,
            Field(default=None, description=f"Only those with this `{name}`.", examples=examples),
        )
    if searchable := marked(table, Searchable):
        where = " or ".join(f"`{name}`" for name in searchable)
        fields["q"] = (
            Annotated[Line, MinLen(1), MaxLen(200)] | None,
            Field(
                default=None,
                description=f"Only those with each of these words in {where}, in upper or lower case.",
                examples=["milk"],
            ),
        )
    model = create_model(f"List{table.__name__}", __base__=Listing, **fields)
    model.table = table
    parameters = model.parameters()["parameters"]
    model.repeatable = {each["name"] for each in parameters if each["schema"]["type"] == "array"}
    return model


@cache
def _adapter(table: type[Table], member: str) -> TypeAdapter[Any]:
    field = table.model_fields[member]
    kind: Any = Annotated[field.annotation, *field.metadata]
    return TypeAdapter(kind)
