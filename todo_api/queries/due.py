"""When things are due, be it on a day or at an instant: the filters of a list, and one order for both."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from functools import cache, partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from annotated_types import MaxLen
from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, Date, bindparam, false, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from todo_api.queries.filters import Bound, Filter, Parameters, Restriction, Sortable
from todo_api.single_model.columns import UTC_DATETIME
from todo_api.single_model.fields import DayOrInstant, TrueOrFalse, utc_now
from todo_api.single_model.table import Table, column


class DueKey(FunctionElement[datetime]):
    """The instant that something is due at, or the first of the day in UTC: the migrations keep indexes of this."""

    type = UTC_DATETIME
    inherit_cache = True


@compiles(DueKey, "sqlite")
def _as_text(element: DueKey, compiler: SQLCompiler, **options: Any) -> str:
    instant, day = (compiler.process(clause, **options) for clause in element.clauses)
    return f"coalesce({instant}, {day} || ' 00:00:00.000000+00:00')"


@compiles(DueKey, "postgresql")
def _as_timestamp(element: DueKey, compiler: SQLCompiler, **options: Any) -> str:
    instant, day = (compiler.process(clause, **options) for clause in element.clauses)
    return f"coalesce({instant}, timezone('UTC', CAST({day} AS TIMESTAMP)))"


class IsDue(FunctionElement[bool]):
    """That a DueKey is not null: on SQLite by its text, as the walk of an index begins with null otherwise."""

    inherit_cache = True


@compiles(IsDue, "sqlite")
def _is_text(element: IsDue, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} > ''"


@compiles(IsDue, "postgresql")
def _is_not_null(element: IsDue, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} IS NOT NULL"


_zones = cache(available_timezones)


def _known_zone(name: str) -> str:
    if name not in _zones() or name in ("localtime", "Factory"):  # which are no zones of the database
        raise PydanticCustomError("time_zone", "must be a time zone of the IANA database, such as Europe/Paris")
    return name


class Due(Filter):
    """What is due before or after, overdue, or due at all; a day counts by that day in the zone `tz`."""

    virtual_member = "due"
    """What a list can be sorted by: the day or the instant, whichever there is."""

    def __init__(self, day: str) -> None:
        self.day = day

    def parameters(self, member: str, field: FieldInfo) -> Parameters:
        day = f"What has a day, `{self.day}`, is due on that day in the zone `tz`."
        form = "day (2026-12-24) or instant (2026-12-24T18:00:00Z)"
        examples = ["2026-12-24"]
        return {
            "due_before": (
                DayOrInstant | None,
                Field(default=None, description=f"Only those due before this {form}. {day}", examples=examples),
            ),
            "due_after": (
                DayOrInstant | None,
                Field(default=None, description=f"Only those due after this {form}. {day}", examples=examples),
            ),
            "overdue": (
                TrueOrFalse | None,
                Field(
                    default=None,
                    description="Whether they are not complete, and due before now or on a day that has ended in the"
                    " zone `tz`; `false` finds all others.",
                    examples=[True],
                ),
            ),
            "has_due": (
                TrueOrFalse | None,
                Field(
                    default=None,
                    description=f"Whether they have `{self.day}` or `{member}`.",
                    examples=[True],
                ),
            ),
            "tz": (
                Annotated[str, MaxLen(64), AfterValidator(_known_zone)] | None,
                Field(
                    default=None,
                    description="The zone of the IANA time zone database that days are counted in; UTC unless sent.",
                    examples=["Europe/Paris"],
                ),
            ),
        }

    def bind(self, member: str, sent: Mapping[str, Any], dialect: str) -> Bound:
        zone = ZoneInfo(sent["tz"]) if "tz" in sent else UTC
        kinds: list[str] = []
        values: dict[str, Any] = {}
        for kind in ("due_before", "due_after"):
            if kind in sent:
                kinds.append(kind)
                values |= _edges(kind, sent[kind], zone)
        if "overdue" in sent:
            kinds.append("overdue" if sent["overdue"] else "not_overdue")
            values |= _edges(kinds[-1], DayOrInstant(None, utc_now()), zone)
        if "has_due" in sent:
            kinds.append("has_due" if sent["has_due"] else "has_no_due")
        return Bound(tuple(kinds), values)

    def restrict(self, table: type[Table], member: str, kinds: Sequence[str], dialect: str) -> Restriction:
        day, instant, key = column(table, self.day), column(table, member), self.key(table, member)
        where: list[ColumnElement[bool]] = []
        for kind in kinds:
            day_edge = bindparam(f"{kind}_day", type_=Date)
            instant_edge = bindparam(f"{kind}_instant", type_=UTC_DATETIME)
            # Follows from the other two; it is what the walk of an index begins or ends at.
            key_edge = bindparam(f"{kind}_key", type_=UTC_DATETIME)
            if kind == "due_after":
                where += [key >= key_edge, or_(day > day_edge, instant > instant_edge)]
            elif kind == "not_overdue":
                where.append(or_(column(table, "complete"), key.is_(None), day >= day_edge, instant >= instant_edge))
            elif kind == "has_due":
                where.append(IsDue(key))
            elif kind == "has_no_due":
                where.append(key.is_(None))
            else:
                where += [key <= key_edge, or_(day < day_edge, instant < instant_edge)]
                if kind == "overdue":
                    where.append(column(table, "complete") == false())
        return Restriction(where)

    def order(self, member: str, kinds: Sequence[str]) -> str:
        ranges = {"due_before", "due_after", "overdue", "has_due"}
        return "id" if ranges.isdisjoint(kinds) else self.virtual_member

    def leads(self, kinds: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return [] if kinds == ("not_overdue",) else [kinds]

    def virtual(self, table: type[Table], member: str) -> dict[str, Sortable]:
        key = self.key(table, member)
        meaning = f"`{member}`, or 00:00 UTC of `{self.day}`"
        return {self.virtual_member: Sortable(key, True, partial(self._of, member), _INSTANT, IsDue(key), meaning)}

    def key(self, table: type[Table], member: str) -> DueKey:
        return DueKey(column(table, member), column(table, self.day))

    def _of(self, member: str, row: Table) -> datetime | None:
        day: date | None = getattr(row, self.day)
        instant: datetime | None = getattr(row, member)
        return instant or (datetime.combine(day, time.min, UTC) if day else None)


def _edges(kind: str, bound: DayOrInstant, zone: tzinfo) -> dict[str, Any]:
    """The day and the instant that a bound is to be compared with, and how far the walk of an index must reach."""
    later = kind == "due_after"
    if bound.instant is not None:
        instant = bound.instant
        day = _in_zone(instant, zone).date()
    else:
        day = bound.day or date.min
        # After a day is after its last microsecond, which is there twice where the clock is put back at midnight.
        instant = _in_utc(datetime.combine(day, time.max.replace(fold=1) if later else time.min, zone))
    midnight = datetime.combine(day, time.min, UTC)
    reach = min(instant, midnight) if later else max(instant, midnight)
    return {f"{kind}_day": day, f"{kind}_instant": instant, f"{kind}_key": reach}


def _in_zone(instant: datetime, zone: tzinfo) -> datetime:
    try:
        return instant.astimezone(zone)
    except OverflowError:  # on the first and the last day of the calendar
        return instant


def _in_utc(local: datetime) -> datetime:
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return local.replace(tzinfo=UTC)


# No Instant, which is none of the two that the calendar begins and ends with.
_INSTANT: TypeAdapter[Any] = TypeAdapter(Annotated[AwareDatetime, AfterValidator(_in_utc)] | None)
