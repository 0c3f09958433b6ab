"""The single-model core: one class is the table, the response, and the origin of both request bodies.

Around `class TodoItem(Table, table=True)` a route says

    todo: New[TodoItem]          a body that creates a todo: checked, and already a TodoItem
    changes: Changes[TodoItem]   a body that changes one: checked, and only what was sent
    -> TodoItem                  the response, every member in the order of the class

The bodies are derived from the class (`CreateTodoItem`, `UpdateTodoItem` in the OpenAPI document): its fields without
those marked `ServerSet` or `Internal`, unknown members forbidden, types strict, and absent kept apart from null.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import (
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
)
from pydantic.fields import FieldInfo
from sqlalchemy import ColumnElement, inspect
from sqlalchemy import Table as SQLTable
from sqlalchemy.orm import ClassManager, configure_mappers
from sqlmodel import SQLModel
from sqlmodel._compat import SQLModelConfig
from typing_extensions import TypedDict

from todo_api.single_model.marks import Created, FoldOf, InsteadOf, Internal, ServerSet, Since, Updated

# Every constraint has a name, so that a later migration can change it. Set before the first table class.
SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


def tidy(schema: dict[str, Any]) -> None:
    """Leave out defaults, for which SDKs take a member to be always there."""
    for member in schema["properties"].values():
        member.pop("default", None)


def _tidy_table(schema: dict[str, Any], table: "type[Table]") -> None:
    schema["properties"] = {name: schema["properties"][name] for name in member_names(table)}
    schema["required"] = [name for name in schema.get("required", []) if name in schema["properties"]]
    tidy(schema)
    members = schema["properties"].items()
    schema["examples"] = [{name: member["examples"][0] for name, member in members if "examples" in member}]


class Table(SQLModel):
    """The base of every table class."""

    model_config = SQLModelConfig(
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra=_tidy_table,
    )

    noun: ClassVar[str]
    """What a row is called in texts, and in the path: `{todo_id}` for "todo"."""
    place: ClassVar[str] = ""
    """Where a row is, for texts: " in the trash"."""
    create_examples: ClassVar[list[dict[str, Any]]] = []
    """Bodies that create a row, for the document."""
    update_examples: ClassVar[list[dict[str, Any]]] = []
    """Bodies that change a row, for the document."""
    list_filters: ClassVar[Sequence[tuple[Any, str]] | None] = None
    """The filters of a list, each with its member, where they are other ones than the annotations have."""
    list_order: ClassVar[str | None] = None
    """The order of every list, as `sort` would say it; None where a request may choose it."""

    __table__: ClassVar[SQLTable]
    _names: ClassVar[tuple[str, ...]]
    _created: ClassVar[list[str]]
    """The instants marked Created or Updated."""
    _updated: ClassVar[list[str]]
    """The instants marked Updated."""
    _since: ClassVar[dict[str, str]]
    """The instants marked Since, each with its flag."""
    _folded: ClassVar[dict[str, str]]
    """The members marked FoldOf, each with the member that it folds."""
    _exclusive: ClassVar[list[tuple[str, str]]]
    """The pairs of fields of which InsteadOf allows one."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._names = tuple(name for name, field in cls.model_fields.items() if Internal not in field.metadata)
        marks = [(name, mark) for name, field in cls.model_fields.items() for mark in field.metadata]
        cls._created = [name for name, mark in marks if mark in (Created, Updated)]
        cls._updated = [name for name, mark in marks if mark is Updated]
        cls._since = {name: mark.flag for name, mark in marks if isinstance(mark, Since)}
        cls._folded = {name: mark.member for name, mark in marks if isinstance(mark, FoldOf)}
        cls._exclusive = [(mark.other, name) for name, mark in marks if isinstance(mark, InsteadOf)]
        decorators = cls.__pydantic_decorators__
        if unseen := [*decorators.field_validators, *decorators.model_validators, *decorators.validators]:
            raise TypeError(
                f"{cls.__name__}.{unseen[0]} is a validator method, which the request bodies derived from the class"
                " would not run: put the rule into the field's type, as Annotated[…, AfterValidator(…)]"
            )
        for name, field in cls.model_fields.items():
            is_key = any(getattr(mark, "primary_key", False) is True for mark in field.metadata)
            if is_key and is_settable(field):
                raise TypeError(f"{cls.__name__}.{name} is a primary key that clients could set: mark it as ServerSet")

    # No return annotation: with one, the response schema would become an empty one.
    @model_serializer(mode="wrap")
    def _members_alone(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        """Without what is Internal, and in the order of the class, whatever made the instance."""
        members = serialize(self)
        return {name: members[name] for name in self._names}


T = TypeVar("T", bound=Table)


def member_names(table: type[Table]) -> tuple[str, ...]:
    """The members that a client sees, in the order of the class."""
    return table._names


def is_versioned(table: type[Table]) -> bool:
    """Whether the rows have a version, of which `ETag` is made."""
    return "version" in table.model_fields


def examples_of(table: type[Table]) -> dict[str, list[dict[str, Any]]]:
    """The examples of the request bodies of a table class, by the names of their schemas."""
    return {f"Create{table.__name__}": table.create_examples, f"Update{table.__name__}": table.update_examples}


def write_rows(table: type[Table], rows: Iterable[Sequence[Any]]) -> bytes:
    """The JSON of rows of the members of `table`, in their order, as that of instances would be.

    What a row has behind its members is left out.
    """
    names = member_names(table)
    return _rows_writer(table).dump_json([dict(zip(names, row, strict=False)) for row in rows])


@cache
def _rows_writer(table: type[Table]) -> TypeAdapter[Any]:
    members: Any = {name: table.model_fields[name].annotation for name in member_names(table)}
    row: Any = TypedDict("Row", members)  # type: ignore[misc]  # its members are known at run time alone
    return TypeAdapter(list[row])


def column(table: type[Table], member: str) -> ColumnElement[Any]:
    found: ColumnElement[Any] = getattr(table, member)
    return found


def make(table: type[T], values: Mapping[str, Any]) -> T:
    """A row of values that need no check; the constructor of SQLModel would cost 28 µs, and check nothing either."""
    row: T = _manager(table).new_instance()
    row.__dict__.update(values)
    return row


@cache
def _manager(table: type[Table]) -> ClassManager[Any]:
    """SQLAlchemy's maker of instances, which is ready once all classes are mapped."""
    configure_mappers()
    manager: ClassManager[Any] = inspect(table).class_manager
    return manager


def is_settable(field: FieldInfo) -> bool:
    """Whether a client may set this field."""
    return ServerSet not in field.metadata and Internal not in field.metadata
