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
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    MISSING,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    Strict,
    TypeAdapter,
    create_model,
    model_serializer,
)
from pydantic import Field as PydanticField
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from sqlalchemy import ColumnElement, func, inspect, literal
from sqlalchemy import Table as SQLTable
from sqlalchemy.orm import ClassManager, configure_mappers
from sqlmodel import SQLModel
from sqlmodel._compat import SQLModelConfig
from typing_extensions import TypedDict

from todo_api.single_model.fields import utc_now

# Every constraint has a name, so that a later migration can change it. Set before the first table class.
SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class ServerSet:
    """Marks a field that the server sets: it is in every response and in no request."""


class Created:
    """Marks an instant that the server sets when the row is created."""


class Updated:
    """Marks an instant that the server sets whenever the row is created or changed."""


class Since:
    """Marks an instant that the server sets when `flag` becomes true, and clears when it becomes false again."""

    def __init__(self, flag: str) -> None:
        self.flag = flag


class InsteadOf:
    """Marks a field that excludes another: to set either clears the other, and to set both at once is refused."""

    def __init__(self, other: str) -> None:
        self.other = other


class Internal:
    """Marks a field that the server alone knows: it is in no response, in no request and in no schema."""


def _tidy(schema: dict[str, Any]) -> None:
    """Leave out defaults, for which SDKs take a member to be always there."""
    for member in schema["properties"].values():
        member.pop("default", None)


def _tidy_table(schema: dict[str, Any], table: "type[Table]") -> None:
    schema["properties"] = {name: schema["properties"][name] for name in member_names(table)}
    schema["required"] = [name for name in schema.get("required", []) if name in schema["properties"]]
    _tidy(schema)
    members = schema["properties"].items()
    schema["examples"] = [{name: member["examples"][0] for name, member in members if "examples" in member}]


class Table(SQLModel):
    """The base of every table class."""

    model_config = SQLModelConfig(
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra=_tidy_table,
    )

    create_examples: ClassVar[list[dict[str, Any]]] = []
    """Bodies that create a row, for the document."""
    update_examples: ClassVar[list[dict[str, Any]]] = []
    """Bodies that change a row, for the document."""

    __table__: ClassVar[SQLTable]
    _names: ClassVar[tuple[str, ...]]
    _created: ClassVar[list[str]]
    """The instants marked Created or Updated."""
    _updated: ClassVar[list[str]]
    """The instants marked Updated."""
    _since: ClassVar[dict[str, str]]
    """The instants marked Since, each with its flag."""
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
        cls._exclusive = [(mark.other, name) for name, mark in marks if isinstance(mark, InsteadOf)]
        decorators = cls.__pydantic_decorators__
        if unseen := [*decorators.field_validators, *decorators.model_validators, *decorators.validators]:
            raise TypeError(
                f"{cls.__name__}.{unseen[0]} is a validator method, which the request bodies derived from the class"
                " would not run: put the rule into the field's type, as Annotated[…, AfterValidator(…)]"
            )
        for name, field in cls.model_fields.items():
            is_key = any(getattr(mark, "primary_key", False) is True for mark in field.metadata)
            if is_key and _is_settable(field):
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


def examples_of(table: type[Table]) -> dict[str, list[dict[str, Any]]]:
    """The examples of the request bodies of a table class, by the names of their schemas."""
    return {f"Create{table.__name__}": table.create_examples, f"Update{table.__name__}": table.update_examples}


def write_rows(table: type[Table], rows: Iterable[Sequence[Any]]) -> bytes:
    """The JSON of rows of the members of `table`, in their order, as that of instances would be."""
    names = member_names(table)
    return _rows_writer(table).dump_json([dict(zip(names, row, strict=True)) for row in rows])


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
    """What makes the instances of a class, once SQLAlchemy has looked at all classes."""
    configure_mappers()
    manager: ClassManager[Any] = inspect(table).class_manager
    return manager


def changes_of(row: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an UPDATE sets that gives a row these values: those that are new, and what the server sets with them."""
    table = type(row)
    new = {name: value for name, value in values.items() if getattr(row, name) != value}
    if not new:
        return {}
    now = utc_now()
    new |= {instant: now if new[flag] else None for instant, flag in table._since.items() if flag in new}
    new |= dict.fromkeys(table._updated, now)
    return new | ({"version": row.version + 1} if "version" in table.model_fields else {})  # type: ignore[attr-defined]


def changes_of_many(table: type[Table], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same for an UPDATE of many rows, all of which have other values."""
    now = utc_now()
    new = {**values, **dict.fromkeys(table._updated, now)}
    for instant, flag in table._since.items():
        if flag in values:
            old = column(table, instant)
            new[instant] = func.coalesce(old, literal(now, old.type)) if values[flag] else None
    return new | ({"version": column(table, "version") + 1} if "version" in table.model_fields else {})


def _defaults(table: type[Table]) -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True) for name, field in table.model_fields.items()}


def _is_settable(field: FieldInfo) -> bool:
    """Whether a client may set this field."""
    return ServerSet not in field.metadata and Internal not in field.metadata


class _New:
    def __get_pydantic_core_schema__(self, source: type[T], handler: GetCoreSchemaHandler) -> CoreSchema:
        body = _derive(source, "Create", source.__doc__, source.create_examples, required=True)

        def create(sent: BaseModel) -> T:
            members = _members(source, sent)
            now = utc_now()
            members |= dict.fromkeys(source._created, now)
            members |= {instant: now for instant, flag in source._since.items() if members.get(flag)}
            return make(source, _defaults(source) | members)

        return core_schema.no_info_after_validator_function(create, handler(body))


New = Annotated[T, _New()]
"""`New[TodoItem]`: a body that creates a TodoItem; in the endpoint it is one, not yet stored."""


class Changes(Generic[T]):
    """`Changes[TodoItem]`: a body that changes a TodoItem; absent members stay as they are (RFC 7396)."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Self], handler: GetCoreSchemaHandler) -> CoreSchema:
        (table,) = get_args(source)
        body = _derive(table, "Update", _CHANGES, table.update_examples, required=False)
        return core_schema.no_info_after_validator_function(lambda sent: cls(_members(table, sent)), handler(body))


def _members(table: type[Table], body: BaseModel) -> dict[str, Any]:
    """What was sent, and what follows from it: of two fields that exclude each other, one set clears the other."""
    members = {name: getattr(body, name) for name in body.model_fields_set}
    for one, other in table._exclusive:
        values = members.get(one), members.get(other)
        if None not in values:
            raise PydanticCustomError("exclusive", f"must hold one of {one} and {other}, not both")
        if values[0] is not None:
            members[other] = None
        elif values[1] is not None:
            members[one] = None
    return members


_CHANGES = "What to change: members that are absent stay as they are."


def _derive(
    table: type[Table], verb: str, description: str | None, examples: list[dict[str, Any]], *, required: bool
) -> type[BaseModel]:
    """The model of a body: each field of `table` that a client may set, with the same rules."""
    fields: dict[str, Any] = {}
    for field_name, field in table.model_fields.items():
        if _is_settable(field):
            default = ... if required and field.is_required() else MISSING
            fields[field_name] = (_annotation(field), default)

    def describe(schema: dict[str, Any]) -> None:
        _tidy(schema)
        schema["examples"] = examples

    config = ConfigDict(extra="forbid", strict=True, json_schema_extra=describe)
    return create_model(f"{verb}{table.__name__}", __config__=config, __doc__=description, **fields)


def _annotation(field: FieldInfo) -> Any:
    attributes = dict(field.asdict()["attributes"])
    del attributes["default"], attributes["default_factory"]
    rules = [*field.metadata, PydanticField(**attributes)]
    if not _is_json_type(field.annotation):
        rules += [Strict(strict=False), BeforeValidator(_text)]
    return Annotated[field.annotation, *rules]


def _is_json_type(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_json_type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(map(_is_json_type, get_args(annotation)))
    return origin is Literal or (origin or annotation) in (str, int, float, bool, list, dict, NoneType)


def _text(value: Any) -> Any:
    """JSON has dates and the like as text alone; Pydantic would take a number for seconds since 1970."""
    if value is None or isinstance(value, str):
        return value
    raise PydanticCustomError("string_type", "must be a string")
