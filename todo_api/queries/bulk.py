"""Changes of all rows that match: one transaction, and no Python object for a row."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, ColumnElement, Text, any_, cast, delete, false, func, literal, or_, update
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.session import Session
from todo_api.http.conditional import IF_MATCH_ANY, failed_for_many, required_for_many
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid, TooMany
from todo_api.queries.query import Parameters, Query, restricted
from todo_api.single_model.bodies import Changes
from todo_api.single_model.changes import changes_of_many
from todo_api.single_model.fields import MAX_INTEGER, Digits
from todo_api.single_model.table import Table, column

T = TypeVar("T", bound=Table)
Ids = SelectOfScalar[int]


class Affected(BaseModel):
    """The number of todos that a change of many found and changed."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [{"matched": 3, "changed": 2}]}
    )

    matched: int = Field(ge=0, examples=[3])
    """How many matched."""
    changed: int = Field(ge=0, examples=[2])
    """How many of them are different now, or gone."""


class Bounded(Parameters):
    """The query parameter that bounds a change of many."""

    max_affected: Annotated[int, Ge(0), Le(MAX_INTEGER), Digits] | None = Field(
        default=None,
        description="Refuse with 409, and change nothing, when more match, or when more would be changed.",
        examples=[100],
    )

    def is_over(self, number: int) -> bool:
        return self.max_affected is not None and number > self.max_affected

    def check(self, affected: Affected) -> Affected:
        """Raise TooMany when there are more of either."""
        if self.is_over(affected.matched) or self.is_over(affected.changed):
            raise TooMany(affected.matched, affected.changed)
        return affected


class BulkQuery(Bounded, Query[T]):
    """The query parameters of a change of all that match."""

    @classmethod
    def part(cls) -> dict[str, Any]:
        problems = (failed_for_many(), required_for_many())
        return {"parameters": [*cls.parameters(), IF_MATCH_ANY], "problems": problems, "is_of_many": True}

    async def delete(self, session: Session, whole: Callable[[Ids], Ids] = lambda ids: ids) -> Affected:
        """Delete all rows that match, and those that go along, of which `whole` has the ids; the caller commits.

        Raises Invalid without a filter, TooMany over the limit.
        """
        ids = self._ids(session)
        matched = await _count(ids, session)
        if self.is_over(matched):
            raise TooMany(matched, await _count(whole(ids), session))
        statement = delete(self.table).where(self._is_among(whole(ids), session))
        return self.check(Affected(matched=matched, changed=(await session.exec(statement)).rowcount))

    async def update(
        self, changes: Changes[T], session: Session, along: Callable[[Ids], Ids] | None = None
    ) -> Affected:
        """Change all rows that match; those that have the new values already stay as they are.

        `along` has the ids of further rows that the caller will change: they are counted where it is too many.
        """
        changes.refuse_server_set()
        ids = self._ids(session)
        matched = await _count(ids, session)
        different = or_(
            false(), *(_differs(column(self.table, name), value) for name, value in changes.members.items())
        )
        if self.is_over(matched):
            changed = select(column(self.table, "id")).where(self._is_among(ids, session), different)
            raise TooMany(matched, await _count(changed, session) + (await _count(along(ids), session) if along else 0))
        if not changes.members:
            return Affected(matched=matched, changed=0)
        statement = (
            update(self.table)
            .where(self._is_among(ids, session), different)
            .values(changes_of_many(self.table, changes.members))
        )
        return self.check(Affected(matched=matched, changed=(await session.exec(statement)).rowcount))

    def is_match(self, session: Session) -> ColumnElement[bool]:
        """Whether a row matches, in any statement; raises Invalid without a filter."""
        return self._is_among(self._ids(session), session)

    def _ids(self, session: Session) -> Ids:
        """The ids of the rows that match."""
        dialect = session.dialect
        shape, values = self.restrict(dialect)
        if not shape:
            detail = "must have at least one filter; one that all match is created_after=2000-01-01T00:00:00Z"
            raise Invalid([InvalidValue(pointer="query", detail=detail, code="no_filter")])
        return restricted(select(column(self.table, "id")), self.table, shape, dialect).params(values)

    def _is_among(self, ids: Ids, session: Session) -> ColumnElement[bool]:
        row_id = column(self.table, "id")
        if session.dialect == "postgresql":
            # Found once: of rows that are new, its planner knows nothing, and may look for all of them once for each.
            return row_id == any_(func.array(ids.scalar_subquery()))
        return row_id.in_(ids)


async def _count(ids: Ids, session: Session) -> int:
    return (await session.exec(select(func.count()).select_from(ids.subquery()))).one()


def _differs(key: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """Whether a row has another value; a list is compared by its text, as PostgreSQL has no `=` for JSON."""
    wanted = literal(value, key.type)
    if isinstance(key.type, JSON):
        return cast(key, Text).is_distinct_from(cast(wanted, Text))
    return key.is_distinct_from(wanted)
