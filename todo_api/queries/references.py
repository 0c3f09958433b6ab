"""Filters of a member that names another row, or none."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from pydantic.fields import FieldInfo
from sqlalchemy import bindparam

from todo_api.queries.filters import Bound, Filter, Parameters, Restriction
from todo_api.single_model.fields import Digits, Id, TrueOrFalse
from todo_api.single_model.table import Table, column


class Refers(Filter):
    """Two parameters: rows that name this one, by the member's own name, and rows that name any or none.

    `none_indexed` says that an index has the rows that name none, too.
    """

    def __init__(self, has: str, *, none_indexed: bool) -> None:
        self.has = has
        self._none_indexed = none_indexed

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        return {
            member: (
                Annotated[Id, Digits] | None,
                Field(default=None, description=f"Only those with this `{member}`.", examples=[7]),
            ),
            self.has: (
                TrueOrFalse | None,
                Field(default=None, description=f"Whether they have a `{member}`.", examples=[True]),
            ),
        }

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        kinds = [] if self.has not in sent else ["some" if sent[self.has] else "none"]
        if member not in sent:
            return Bound(tuple(kinds), {})
        return Bound(("equals", *kinds), {f"{member}_equals": sent[member]})

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        key = column(table, member)
        conditions = {
            "equals": key == bindparam(f"{member}_equals"),
            "some": key.is_not(None),
            "none": key.is_(None),
        }
        return Restriction([conditions[kind] for kind in kinds])

    def order(self, member: str, kinds: Sequence[str]) -> str:
        return member if "some" in kinds else "id"

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return [kinds] if self._none_indexed or kinds != ("none",) else []
