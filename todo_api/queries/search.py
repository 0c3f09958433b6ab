"""Search: words that must all occur in the text of some members."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen
from pydantic import Field
from pydantic.fields import FieldInfo
from sqlalchemy import BigInteger, ColumnElement, Integer, String, bindparam, func, literal_column, select
from sqlalchemy import column as sql_column
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased

from todo_api.queries.filters import Bound, Filter, Join, Parameters, Restriction
from todo_api.single_model.columns import IndexTable
from todo_api.single_model.fields import Line
from todo_api.single_model.folding import fold
from todo_api.single_model.table import Table, column


class Words(Filter):
    """A parameter of words that must all occur in the folded text of some members.

    The migrations keep an index of all runs of three characters: on SQLite the table `…_search`, which leads to the
    rows in the order of their ids; on PostgreSQL the index `…_words` on blocks of ids and on `search_text`, which finds
    the rows of some blocks in any order. Shorter words, and all where `indexed` is false, are looked for row by row.
    """

    def __init__(self, name: str, *members: str, indexed: bool = True) -> None:
        self.name = name
        self.members = members
        self.indexed = indexed
        self._blocks = {f"{name}_in_{sign}{count}": (count, sign) for count in BLOCKS for sign in ("+", "-")}

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        where = " or ".join(f"`{name}`" for name in self.members)
        by_index = " Words of three letters and more are found by an index." if self.indexed else ""
        described = Field(
            default=None,
            description=f"Only those with each of these words in {where}, whatever the case and the accents; a word may"
            f" be part of a longer one.{by_index}",
            examples=["milk"],
        )
        return {self.name: (Annotated[Line, MinLen(1), MaxLen(200)] | None, described)}

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        words: dict[str, str] = {}
        for number, word in enumerate(dict.fromkeys(fold(sent[self.name]).split() or [sent[self.name]])):
            has_index = self.indexed and _INDEXED[dialect].search(word)
            words[f"{self.name}_{'word' if has_index else 'part'}_{number}"] = word
        if dialect == "postgresql":
            return Bound(tuple(words), words | {kind: _like_pattern(words[kind]) for kind in self._indexed(words)})
        return Bound(tuple(words), words)

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        indexed = self._indexed(kinds)
        blocks = [where for kind in kinds if kind in self._blocks for where in _in_blocks(table, *self._blocks[kind])]
        others = [kind for kind in kinds if kind not in indexed and kind not in self._blocks]
        if dialect == "postgresql":
            likes = [self._text(table).like(bindparam(kind, type_=String)) for kind in indexed]
            # Not by LIKE, for which it would read the whole index, or take the word for a rare one.
            parts = [func.strpos(self._text(table), bindparam(kind, type_=String)) > 0 for kind in others]
            return Restriction([*likes, *blocks, *parts])
        checks = self.check(table, member, others)
        if not indexed:
            return Restriction(checks)
        index = IndexTable(f"{table.__tablename__}_search", sql_column("rowid", Integer))
        name: ColumnElement[str] = literal_column(index.name)
        match = name.op("MATCH", is_comparison=True)(reduce(add, map(_as_phrase, indexed)))
        # The sign keeps SQLite from looking each row up in the index instead, at milliseconds a row.
        same_row = column(table, "id") == literal_column(f"+{index.name}.rowid", Integer)
        return Restriction([match, *checks], [Join(index, same_row, index.c.rowid)])

    def check(self, table: type[Table], member: str, kinds: Sequence[str]) -> Sequence[ColumnElement[bool]]:
        return [func.instr(self._text(table), bindparam(kind, type_=String)) > 0 for kind in kinds]

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return [(kind,) for kind in self._indexed(kinds)]

    def nearby(self, kinds: Sequence[str], *, descending: bool) -> Sequence[str]:
        # One word alone is read in the order of the ids, or is so rare that to sort its rows costs little.
        if len(kinds) < 2 or not self._indexed(kinds):
            return ()
        return [kind for kind, (_, sign) in self._blocks.items() if (sign == "-") is descending]

    def _indexed(self, kinds: Iterable[str]) -> list[str]:
        return [kind for kind in kinds if kind.startswith(f"{self.name}_word")]

    def _text(self, table: type[Table]) -> ColumnElement[str]:
        folded = {member: name for name, member in table._folded.items()}
        return search_text(*(column(table, folded[name]) for name in self.members))


BLOCKS = (2, 12)
"""In how many blocks of 4,096 ids PostgreSQL looks for several words before it does so in all of them.

It finds rows in any order and sorts them: those with two common words take 10 to 40 ms in a million rows, in two blocks
0.5 ms and in twelve 1 to 3 ms.
"""


def _in_blocks(table: type[Table], count: int, sign: str) -> list[ColumnElement[bool]]:
    """The condition that a row is in one of so many blocks, from the block on in which the page begins.

    Where the index is missing none is, as each try would be a look at every row.
    """
    row_id, other_id = column(table, "id"), column(aliased(table), "id")
    end = func.max(other_id) if sign == "-" else func.min(other_id)
    begin = func.coalesce(bindparam("after_0", None, type_=BigInteger), select(end).scalar_subquery())
    distance = func.generate_series(literal_column("0"), literal_column(str(count - 1)), type_=BigInteger)
    blocks = func.array(select(_block(begin).op(sign)(distance)).scalar_subquery())
    index = func.to_regclass(literal_column(f"'{table.__tablename__}_words'"))
    return [array([_block(row_id)]).overlap(blocks), index.is_not(None)]


def _block(row_id: ColumnElement[Any]) -> ColumnElement[Any]:
    return row_id.op(">>")(literal_column("12"))


def search_text(first: ColumnElement[Any], *others: ColumnElement[Any]) -> ColumnElement[str]:
    """The text that is searched: the folded members, which no word can span, a line each."""
    # Written out, not bound: an index is used for just the expression that it was made of.
    line_break, nothing = literal_column("'\n'", String), literal_column("''", String)
    text = first
    for other in others:
        text = text + line_break + func.coalesce(other, nothing)
    return text


def _as_phrase(kind: str) -> ColumnElement[str]:
    """The word of a kind as FTS5 wants it, with a space behind it for the next one."""
    mark, end = literal_column("'\"'", String), literal_column("'\" '", String)
    return mark + func.replace(bindparam(kind, type_=String), mark, mark + mark) + end


_INDEXED = {"sqlite": re.compile("..."), "postgresql": re.compile(r"[^\W_]{3}")}
"""Words of which an index holds a run of three characters: on PostgreSQL of letters and digits alone."""

_WILD = re.compile(r"[\\%_]")


def _like_pattern(word: str) -> str:
    """The LIKE pattern of text that holds `word`; `%` and `_` stand for themselves."""
    return "%" + _WILD.sub(r"\\\g<0>", word) + "%"
