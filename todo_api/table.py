"""The single-model core: one class is the table, the response, and the origin of both request bodies.

Around `class TodoItem(Table, table=True)` a route says

    todo: New[TodoItem]          a body that creates a todo: checked, and already a TodoItem
    changes: Changes[TodoItem]   a body that changes one: checked, and only what was sent
    -> TodoItem                  the response, every member in the order of the class

The bodies are derived from the class (`CreateTodoItem`, `UpdateTodoItem` in the OpenAPI document): its fields without
those marked `ServerSet` or `Internal`, unknown members forbidden, types strict, and absent kept apart from null.
"""

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
    create_model,
    model_serializer,
)
from pydantic import Field as PydanticField
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from sqlalchemy.orm import declared_attr
from sqlmodel import SQLModel
from sqlmodel._compat import SQLModelConfig

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


class Internal:
    """Marks a field that the server alone knows: it is in no response, in no request and in no schema."""


def _tidy(schema: dict[str, Any]) -> None:
    """Leave out titles, which repeat names, and defaults, for which SDKs take a member to be always there."""
    for member in schema["properties"].values():
        member.pop("title", None)
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

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  # a declared_attr gets the class
        """A class with a `version` has it in the WHERE of each UPDATE and DELETE, and raised by each UPDATE."""
        return {"version_id_col": cls.version} if "version" in cls.model_fields else {}  # type: ignore[attr-defined]

    _names: ClassVar[tuple[str, ...]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._names = tuple(name for name, field in cls.model_fields.items() if Internal not in field.metadata)
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
    def _in_order(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        """Members in the order of the class: SQLAlchemy fills instances in an order that differs by process."""
        members = serialize(self)
        return {name: members[name] for name in self._names}


T = TypeVar("T", bound=Table)


def member_names(table: type[Table]) -> tuple[str, ...]:
    """The members that a client sees, in the order of the class."""
    return table._names


def _is_settable(field: FieldInfo) -> bool:
    """Whether a client may set this field."""
    return ServerSet not in field.metadata and Internal not in field.metadata


class _New:
    def __get_pydantic_core_schema__(self, source: type[T], handler: GetCoreSchemaHandler) -> CoreSchema:
        body = _derive(source, f"Create{source.__name__}", source.create_examples, required=True)
        return core_schema.no_info_after_validator_function(lambda sent: source(**_members(sent)), handler(body))


New = Annotated[T, _New()]
"""`New[TodoItem]`: a body that creates a TodoItem; in the endpoint it is one, not yet in a session."""


class Changes(Generic[T]):
    """`Changes[TodoItem]`: a body that changes a TodoItem; absent members stay as they are (RFC 7396)."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members

    def apply_to(self, row: T) -> T:
        for name, value in self.members.items():
            setattr(row, name, value)
        return row

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Self], handler: GetCoreSchemaHandler) -> CoreSchema:
        (table,) = get_args(source)
        body = _derive(table, f"Update{table.__name__}", table.update_examples, required=False)
        return core_schema.no_info_after_validator_function(lambda sent: cls(_members(sent)), handler(body))


def _members(body: BaseModel) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.model_fields_set}


def _derive(table: type[Table], name: str, examples: list[dict[str, Any]], *, required: bool) -> type[BaseModel]:
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
    return create_model(name, __config__=config, __doc__=table.__doc__, **fields)


def _annotation(field: FieldInfo) -> Any:
    attributes = dict(field.asdict()["attributes"])
    del attributes["default"], attributes["default_factory"]
    rules = [*field.metadata, PydanticField(**attributes)]
    if not _is_json_type(field.annotation):
        rules += [Strict(strict=False), BeforeValidator(_text)]
    return Annotated[field.annotation, *rules]


def _is_json_type(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return all(map(_is_json_type, get_args(annotation)))
    return origin is Literal or (origin or annotation) in (str, int, float, bool, list, dict, NoneType)


def _text(value: Any) -> Any:
    """JSON has dates and the like as text alone; Pydantic would take a number for seconds since 1970."""
    if value is None or isinstance(value, str):
        return value
    raise PydanticCustomError("text_type", "must be text")
