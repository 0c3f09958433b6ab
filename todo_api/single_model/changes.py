"""Members that the server sets when a row is created or changed: time stamps and the version."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, func, literal

from todo_api.single_model.fields import utc_now
from todo_api.single_model.folding import fold
from todo_api.single_model.table import Table, column, is_versioned

LONG_TEXT = 4096
"""Characters that are folded and indexed in a millisecond, or a few."""


def stamp_new(row: Table) -> None:
    """Set the time stamps of a new row, unless they are set already."""
    table, now = type(row), utc_now()
    for name in table._created:
        if row.__dict__.get(name) is None:
            row.__dict__[name] = now
    row.__dict__.update(_folds(table, row.__dict__))
    for name, flag in table._since.items():
        if row.__dict__[flag] and row.__dict__.get(name) is None:
            row.__dict__[name] = now


def is_long(row: Table) -> bool:
    """Whether a row has so much text to fold that it takes milliseconds."""
    return sum(len(row.__dict__.get(member) or "") for member in type(row)._folded.values()) > LONG_TEXT


def changes_of(row: Table, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an UPDATE sets: members that differ from the stored ones, and time stamps and version with them.

    Empty when nothing differs, so such a row keeps its version.
    """
    new = {name: value for name, value in row.__dict__.items() if value != stored[name]}
    if not new:
        return {}
    table = type(row)
    new |= _folds(table, new)
    now = max([utc_now(), *(stored[name] for name in table._updated)])  # whatever the clock does
    new |= {name: now if new[flag] else None for name, flag in table._since.items() if flag in new}
    new |= dict.fromkeys(table._updated, now)
    if is_versioned(table):
        new["version"] = stored["version"] + 1
    return new


def changes_of_many(table: type[Table], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same for an UPDATE of many rows, all of which get other values."""
    new, now = {**values, **_folds(table, values)}, utc_now()
    for name in table._updated:
        old = column(table, name)
        new[name] = case((old > now, old), else_=literal(now, old.type))  # whatever the clock does
    for name, flag in table._since.items():
        if flag in values:
            old = column(table, name)
            new[name] = func.coalesce(old, literal(now, old.type)) if values[flag] else None
    return new | ({"version": column(table, "version") + 1} if is_versioned(table) else {})


def _folds(table: type[Table], values: Mapping[str, Any]) -> dict[str, Any]:
    """The folded text of each member of `values` that has one."""
    sent = {name: values[member] for name, member in table._folded.items() if member in values}
    return {name: text and fold(text) for name, text in sent.items()}
