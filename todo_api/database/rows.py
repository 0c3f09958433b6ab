"""The rows that a session knows: one object for each, and the values that it has in the database."""

from collections.abc import Iterator
from typing import Any

from todo_api.database.statements import key_values
from todo_api.single_model.changes import changes_of
from todo_api.single_model.table import Table, make


class Rows:
    """An identity map. It tells a change by comparing an object with the values that were read or written last."""

    def __init__(self) -> None:
        self._rows: dict[tuple[type[Table], Any], tuple[Any, dict[str, Any]]] = {}

    def __contains__(self, row: Table) -> bool:
        return (type(row), row.__dict__.get("id")) in self._rows

    def find(self, table: type[Table], row_id: int) -> Any:
        known = self._rows.get((table, row_id))
        return known and known[0]

    def add(self, row: Table) -> None:
        """Remember a row with the values that it has now."""
        self._rows[type(row), row.__dict__["id"]] = (row, dict(row.__dict__))

    def read(self, table: type[Table], values: dict[str, Any]) -> Any:
        """The object of a row that was read: the known one as it is, or a new one."""
        if (table, values["id"]) not in self._rows:
            self.add(make(table, values))
        return self._rows[table, values["id"]][0]

    def key(self, row: Table) -> dict[str, Any]:
        """The bound parameters that name a row in a statement."""
        return key_values(type(row), self.stored(row))

    def stored(self, row: Table) -> dict[str, Any]:
        """The values of a row in the database."""
        return self._rows[type(row), row.__dict__["id"]][1]

    def forget(self, row: Table) -> None:
        del self._rows[type(row), row.__dict__["id"]]

    def forget_all(self, table: type[Table]) -> dict[int, Any]:
        """Forget the rows of a class; what they were, by their ids."""
        ids = [row_id for known, row_id in self._rows if known is table]
        return {row_id: self._rows.pop((table, row_id))[0] for row_id in ids}

    def changed(self) -> Iterator[tuple[Table, dict[str, Any]]]:
        """Each row that has changed, with the values that an UPDATE sets."""
        for row, stored in list(self._rows.values()):
            if changes := changes_of(row, stored):
                yield row, changes
