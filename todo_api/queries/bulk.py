"""Changes of all rows that match: one transaction, and no Python object for a row."""

from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, ColumnElement, Text, any_, cast, delete, func, literal, or_, update
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from todo_api.database.session import Session
from todo_api.http.conditional import IF_MATCH_ANY, failed_for_list, required_for_list
from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid, TooMany
from todo_api.queries.query import Query, restricted
from todo_api.single_model.bodies import Changes
from todo_api.single_model.changes import changes_of_many
from todo_api.single_model.fields import MAX_INTEGER, Digits
from todo_api.single_model.table import Table, column

T = TypeVar("T", bound=Table)


class Affected(BaseModel):
    """The number of todos that a change of many found and changed."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [{"matched": 3, "changed": 2}]}
    )

    matched: int = Field(ge=0, examples=[3])
    """How many matched."""
    changed: int = Field(ge=0, examples=[2])
    """How many of them are different now, or gone."""


class BulkQuery(Query[T]):
    """The query parameters of a change of all that match."""

    max_affected: Annotated[int, Ge(0), Le(MAX_INTEGER), Digits] | None = Field(
        default=None,
        description="Refuse with 409, and change nothing, when more match.",
        examples=[100],
    )

    @classmethod
    def part(cls) -> dict[str, Any]:
        problems = (failed_for_list(), required_for_list())
        return {"parameters": [*cls.parameters(), IF_MATCH_ANY], "problems": problems}

    async def delete(self, session: Session) -> Affected:
        """Delete all rows that match; the caller commits. Raises Invalid without a filter, TooMany over the limit."""
        statement = delete(self.table).where(self._is_among(self._ids(session), session))
        deleted = (await session.exec(statement)).rowcount
        self._check(deleted)
        return Affected(matched=deleted, changed=deleted)

    async def update(self, changes: Changes[T], session: Session) -> Affected:
        """Change all rows that match; those that have the new values already stay as they are."""
        changes.refuse_server_set()
        ids = self._ids(session)
        matched = (await session.exec(select(func.count()).select_from(ids.subquery()))).one()
        self._check(matched)
        if not changes.members:
            return Affected(matched=matched, changed=0)
        different = or_(*(_differs(column(self.table, name), value) for name, value in changes.members.items()))
        statement = (
            update(self.table)
            .where(self._is_among(ids, session), different)
            .values(changes_of_many(self.table, changes.members))
        )
        changed = (await session.exec(statement)).rowcount
        self._check(changed)
        return Affected(matched=matched, changed=changed)

    def _ids(self, session: Session) -> SelectOfScalar[int]:
        """The ids of the rows that match."""
        dialect = session.dialect
        shape, values = self.restrict(dialect)
        if not shape:
            detail = "must have at least one filter; one that all match is created_after=2000-01-01T00:00:00Z"
            raise Invalid([InvalidValue(pointer="query", detail=detail, code="no_filter")])
        return restricted(select(column(self.table, "id")), self.table, shape, dialect).params(values)

    def _is_among(self, ids: SelectOfScalar[int], session: Session) -> ColumnElement[bool]:
        row_id = column(self.table, "id")
        if session.dialect == "postgresql":
            # Found once: of rows that are new, its planner knows nothing, and may look for all of them once for each.
            return row_id == any_(func.array(ids.scalar_subquery()))
        return row_id.in_(ids)

    def _check(self, affected: int) -> None:
        if self.max_affected is not None and affected > self.max_affected:
            raise TooMany(affected)


def _differs(key: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """Whether a row has another value; a list is compared by its text, as PostgreSQL has no `=` for JSON."""
    wanted = literal(value, key.type)
    if isinstance(key.type, JSON):
        return cast(key, Text).is_distinct_from(cast(wanted, Text))
    return key.is_distinct_from(wanted)
