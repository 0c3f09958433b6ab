"""Changes of all rows that match: one transaction, and no Python object for a row."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, ColumnElement, Text, cast, delete, false, func, literal, or_, update
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.session import Session
from todo_api.database.statements import is_among
from todo_api.http.conditional import IF_MATCH_ANY, failed_for_many, required_for_many
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid, TooMany
from todo_api.queries.comparisons import After
from todo_api.queries.filters import filters_of
from todo_api.queries.query import Parameters, Query, restricted
from todo_api.single_model.bodies import Changes
from todo_api.single_model.changes import changes_of_many
from todo_api.single_model.fields import MAX_INTEGER, Digits
from todo_api.single_model.table import Table, column

T = TypeVar("T", bound=Table)
Ids = SelectOfScalar[int]
Remove = Callable[[ColumnElement[bool], Session], Awaitable[int]]
"""Takes the rows of which a condition holds away; how many they were."""


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

    async def delete(
        self, session: Session, whole: Callable[[Ids], Ids] = lambda ids: ids, remove: Remove | None = None
    ) -> Affected:
        """Delete all rows that match, and those that go along, of which `whole` has the ids; the caller commits.

        `remove` may do something else with them than to delete them. Raises Invalid without a filter, TooMany over the
        limit.
        """
        ids = self.ids_that_match(session)
        matched = await _count(ids, session)
        if self.is_over(matched):
            raise TooMany(matched, await _count(whole(ids), session))
        goes = self._is_among(whole(ids), session)
        if remove is None:
            changed = (await session.exec(delete(self.table).where(goes))).rowcount
        else:
            changed = await remove(goes, session)
        return self.check(Affected(matched=matched, changed=changed))

    async def update(
        self, changes: Changes[T], session: Session, along: Callable[[Ids], Ids] | None = None
    ) -> Affected:
        """Change all rows that match; those that have the new values already stay as they are.

        `along` has the ids of further rows that the caller will change: they are counted where it is too many.
        """
        changes.refuse_server_set()
        ids = self.ids_that_match(session)
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
        return self._is_among(self.ids_that_match(session), session)

    def ids_that_match(self, session: Session) -> Ids:
        """The ids of the rows that match; raises Invalid without a filter."""
        dialect = session.dialect
        shape, values = self.restrict(dialect)
        if not shape:
            detail = f"must have at least one filter; one that all match is {_every(self.table)}=2000-01-01T00:00:00Z"
            raise Invalid([InvalidValue(pointer="query", detail=detail, code="no_filter")])
        return restricted(select(column(self.table, "id")), self.table, shape, dialect).params(values)

    def _is_among(self, ids: Ids, session: Session) -> ColumnElement[bool]:
        return is_among(column(self.table, "id"), ids, session.dialect)


def _every(table: type[Table]) -> str:
    """The filter that all rows match from some instant on: that of the first instant that is null in none."""
    never_null = {name for name in table.model_fields if not column(table, name).property.columns[0].nullable}
    return next(each.name for each, name in filters_of(table).items() if isinstance(each, After) and name in never_null)


async def _count(ids: Ids, session: Session) -> int:
    return (await session.exec(select(func.count()).select_from(ids.subquery()))).one()


def _differs(key: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """Whether a row has another value; a list is compared by its text, as PostgreSQL has no `=` for JSON."""
    wanted = literal(value, key.type)
    if isinstance(key.type, JSON):
        return cast(key, Text).is_distinct_from(cast(wanted, Text))
    return key.is_distinct_from(wanted)
