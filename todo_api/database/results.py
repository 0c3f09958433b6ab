"""The result of a statement, with the words of SQLModel's results."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy.exc import InvalidRequestError, MultipleResultsFound, NoResultFound
from sqlmodel.sql.expression import Select, SelectOfScalar

from todo_api.single_model.table import Table

R = TypeVar("R")


class Result(Generic[R]):
    """Rows of a table class, single values or tuples, as the select says; all of them are read already."""

    def __init__(self, rows: Sequence[R], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount
        """How many rows an update or a delete changed."""

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows)

    def all(self) -> list[R]:
        return list(self._rows)

    def first(self) -> R | None:
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> R | None:
        """The only row; raises MultipleResultsFound when there are more."""
        if len(self._rows) > 1:
            raise MultipleResultsFound("more than one row was found where one was required")
        return self.first()

    def one(self) -> R:
        """The only row; raises NoResultFound or MultipleResultsFound when there is none, or more."""
        if not self._rows:
            raise NoResultFound("no row was found where one was required")
        if len(self._rows) > 1:
            raise MultipleResultsFound("more than one row was found where one was required")
        return self._rows[0]


class Shape(NamedTuple):
    """The kind of a select's results: rows of `entity`, else single values, else tuples."""

    entity: type[Table] | None
    is_scalar: bool


_shapes: WeakKeyDictionary[Any, Shape] = WeakKeyDictionary()


def shape_of(statement: Any) -> Shape:
    shape = _shapes.get(statement)
    if shape is None:
        shape = _shapes[statement] = _find_shape(statement)
    return shape


def _find_shape(statement: Any) -> Shape:
    if not isinstance(statement, Select | SelectOfScalar):
        return Shape(None, False)
    entities = [each["expr"] for each in statement.column_descriptions if isinstance(each["expr"], type)]
    if len(entities) > 1 or (entities and len(statement.column_descriptions) > 1):
        raise InvalidRequestError("select one class, or columns")
    return Shape(entities[0] if entities else None, isinstance(statement, SelectOfScalar))
