"""Search: words that must all occur in the text of some members."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen
from pydantic import Field
from pydantic.fields import FieldInfo
from sqlalchemy import ColumnElement, Integer, String, bindparam, func, literal_column
from sqlalchemy import column as sql_column

from todo_api.fields import Line
from todo_api.filters import Bound, Filter, IndexTable, Join, Parameters, Restriction
from todo_api.table import Table, column


class Words(Filter):
    """A parameter of words that must all occur in the text of some members, in upper or lower case.

    The migrations keep an index of all runs of three characters: on SQLite the table `…_search`, which leads to the
    rows in the order of their ids; on PostgreSQL an index on `search_text`. Shorter words are looked for row by row.
    """

    indexed_length = 3

    def __init__(self, name: str, *members: str) -> None:
        self.name = name
        self.members = members

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        where = " or ".join(f"`{name}`" for name in self.members)
        described = Field(
            default=None,
            description=f"Only those with each of these words in {where}, in upper or lower case; a word may be part"
            " of a longer one. Words of three letters and more are found by an index.",
            examples=["milk"],
        )
        return {self.name: (Annotated[Line, MinLen(1), MaxLen(200)] | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        indexed: list[str] = []
        others: list[str] = []
        for word in dict.fromkeys(sent[self.name].split()):
            (indexed if dialect == "sqlite" and len(word) >= self.indexed_length else others).append(word)
        values = {f"{self.name}_{number}": _like_pattern(word) for number, word in enumerate(others)}
        if indexed:
            values[f"{self.name}_match"] = " ".join('"' + word.replace('"', '""') + '"' for word in indexed)
        return Bound(tuple(values), values)

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        text = search_text(*(column(table, name) for name in self.members))
        where = []
        joins = []
        for kind in kinds:
            if kind == f"{self.name}_match":
                index = IndexTable(f"{table.__tablename__}_search", sql_column("rowid", Integer))
                found: ColumnElement[str] = literal_column(index.name)
                key: ColumnElement[int] = index.c.rowid
                where.append(found.op("MATCH", is_comparison=True)(bindparam(kind, type_=String)))
                # The sign keeps SQLite from looking each row up in the index instead, at milliseconds a row.
                joins.append(Join(index, column(table, "id") == literal_column(f"+{index.name}.rowid", Integer), key))
            else:
                where.append(text.like(bindparam(kind, type_=String), escape=_ESCAPE))
        return Restriction(where, joins)


def search_text(first: ColumnElement[Any], *others: ColumnElement[Any]) -> ColumnElement[str]:
    """The text that is searched, in lower case: the members, which no word can span, a line each."""
    # Written out, not bound: an index is used for just the expression that it was made of.
    line_break, nothing = literal_column("'\n'", String), literal_column("''", String)
    text = first
    for other in others:
        text = text + line_break + func.coalesce(other, nothing)
    return func.lower(text)


_ESCAPE = "\\"
_WILD = re.compile(r"[\\%_]")


def _like_pattern(word: str) -> str:
    """The LIKE pattern of text that holds `word` in any case; `%` and `_` stand for themselves."""
    return "%" + _WILD.sub(r"\\\g<0>", word.lower()) + "%"
