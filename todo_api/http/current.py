"""`Current[TodoItem]`: the row that the path of a request names, or 404."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Path, Request

from todo_api.http.parts import Part
from todo_api.http.problems import NotFound
from todo_api.http.routing import session_of
from todo_api.single_model.fields import Digits, Id
from todo_api.single_model.table import Table

T = TypeVar("T", bound=Table)

if TYPE_CHECKING:
    Current = Annotated[T, "the row of the path"]
else:

    class Current:
        """A parameter of an endpoint. The path has the id as `{todo_id}` where the class says `noun = "todo"`."""

        def __class_getitem__(cls, table: type[Table]) -> Any:
            return Annotated[table, Part(_loader(table), is_row=True)]


def _loader(table: type[Table]) -> Callable[..., Any]:
    noun = table.noun
    described = Path(alias=f"{noun}_id", description=f"The id of the {noun}.", examples=[1])

    # The session out of the request: a dependency of a dependency costs 15 µs.
    async def load(row_id: Annotated[Id, Digits, described], request: Request) -> Table:
        row = await session_of(request).get(table, row_id)
        if row is None:
            raise NotFound(f"There is no {noun} with this id{table.place}.")
        return row

    return load
