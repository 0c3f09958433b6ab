"""The filter of a list of tags."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo
from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy import column as sql_column

from todo_api.queries.filters import Bound, Filter, Join, Parameters, Restriction
from todo_api.single_model.columns import IndexTable
from todo_api.single_model.fields import Tag
from todo_api.single_model.table import Table, column


class Tagged(Filter):
    """A repeatable parameter: rows whose list holds all of these values.

    The migrations keep them in the table `…_tags`, a row for each value: an index walk in the order of the ids.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        described = Field(
            default=None,
            min_length=1,
            max_length=32,
            description=f"Only those with all of these among their `{member}`; it may be given up to 32 times.",
            examples=[["shopping"]],
        )
        return {self.name: (list[Tag] | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        values = {f"{self.name}_{number}": tag for number, tag in enumerate(dict.fromkeys(sent[self.name]))}
        return Bound(tuple(values), values)

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        return Restriction([], [self._join(table, member, kind) for kind in kinds])

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return [(kind,) for kind in kinds]

    def check(self, table: type[Table], member: str, kinds: Sequence[str]) -> Sequence[ColumnElement[bool]]:
        row_id = column(table, "id")
        joins = [self._join(table, member, kind) for kind in kinds]
        return [select(row_id).select_from(each.target).where(each.on).correlate(table).exists() for each in joins]

    def _join(self, table: type[Table], member: str, kind: str) -> Join:
        name = f"{table.__tablename__}_{member}"
        tags = IndexTable(name, *(sql_column(each) for each in ("owner", "tag", "id"))).alias()
        same_row = and_(tags.c.owner == column(table, "owner"), tags.c.id == column(table, "id"))
        return Join(tags, and_(same_row, tags.c.tag == bindparam(kind)), tags.c.id)
