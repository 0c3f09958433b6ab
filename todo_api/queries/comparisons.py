"""Filters that compare a member with the value of a parameter."""

from collections.abc import Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Annotated, Any

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import BeforeValidator, Field
from pydantic.fields import FieldInfo
from sqlalchemy import bindparam

from todo_api.queries.filters import Bound, Filter, Parameters, Restriction
from todo_api.single_model.fields import Digits, Instant, TrueOrFalse, from_query
from todo_api.single_model.table import Table, column


def _rules(field: FieldInfo) -> list[Any]:
    """The marks of a field that Pydantic checks."""
    rules = (BaseMetadata, GroupedMetadata)
    return [each for each in field.metadata if isinstance(each, rules) or hasattr(each, "__get_pydantic_core_schema__")]


def _kind(field: FieldInfo) -> Any:
    """The type of a parameter that holds a value of a member, as a URL has it."""
    if field.annotation is str:
        return Annotated[str, *_rules(field)]
    if field.annotation is int:
        return Annotated[int, *_rules(field), Digits]
    return TrueOrFalse if field.annotation is bool else Annotated[Instant, BeforeValidator(from_query)]


class Equals(Filter):
    """The parameter of the member's own name: rows with this value."""

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(default=None, description=f"Only those with this `{member}`.", examples=field.examples)
        return {member: (_kind(field) | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        # Not by the name of the column, which in an UPDATE is that of the new value.
        return Bound(("equals",), {f"{member}_equals": sent[member]})

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([column(table, member) == bindparam(f"{member}_equals")])


class OneOf(Filter):
    """A repeatable parameter: rows with one of these values, of which there may be 100."""

    def __init__(self, name: str) -> None:
        self.name = name

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            min_length=1,
            max_length=100,
            description=f"Only those with one of these values of `{member}`; it may be given up to 100 times.",
            examples=[[1, 2]],
        )
        kind: Any = list[_kind(field)]  # type: ignore[misc]  # a type made at run time
        return {self.name: (kind | None, described)}

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([column(table, member).in_(bindparam(self.name, expanding=True))])


class _Range(Filter):
    """A parameter that bounds the member; unless `sort` is sent, the list is then in the order of the member."""

    compare: Any
    words: str

    def __init__(self, name: str, meaning: str = "") -> None:
        self.name = name
        self.meaning = f": {meaning}" if meaning else ""

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            description=f"Only those whose `{member}` is {self.words}{self.meaning}.",
            examples=[example for example in field.examples or [] if example is not None] or ["2026-11-25T00:00:00Z"],
        )
        return {self.name: (_kind(field) | None, described)}

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        key = column(table, member)
        return Restriction([self.compare(key, bindparam(self.name, type_=key.type))])

    def order(self, member: str, kinds: Sequence[str]) -> str:
        return member


class AtLeast(_Range):
    compare, words = staticmethod(ge), "this number or greater"


class AtMost(_Range):
    compare, words = staticmethod(le), "this number or less"


class After(_Range):
    compare, words = staticmethod(gt), "later than this instant"


class Before(_Range):
    compare, words = staticmethod(lt), "earlier than this instant"
