"""Request bodies, derived from a table class."""

import json
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, Union, get_args, get_origin

from fastapi.exceptions import RequestValidationError
from pydantic import (
    MISSING,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    Strict,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic import Field as PydanticField
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from todo_api.single_model.table import Table, is_settable, make, member_names, tidy

T = TypeVar("T", bound=Table)


def _defaults(table: type[Table]) -> Callable[[], dict[str, Any]]:
    """A function that makes the members of a new row: Pydantic is asked each time for those alone that may differ."""
    fields = {name: field for name, field in table.model_fields.items() if _is_mutable(field)}
    constant = {name: field.default for name, field in table.model_fields.items() if name not in fields}
    return lambda: constant | {name: each.get_default(call_default_factory=True) for name, each in fields.items()}


def _is_mutable(field: FieldInfo) -> bool:
    return field.default_factory is not None or field.default.__hash__ is None


class _New:
    def __get_pydantic_core_schema__(self, source: type[T], handler: GetCoreSchemaHandler) -> CoreSchema:
        body = _derive(source, "Create", source.__doc__, source.create_examples, required=True)

        defaults = _defaults(source)

        def create(sent: BaseModel) -> T:
            members = _members(source, sent)
            row = make(source, defaults() | members)
            object.__setattr__(row, "__pydantic_fields_set__", set(members))
            return row

        return core_schema.no_info_after_validator_function(create, handler(body))


New = Annotated[T, _New()]
"""`New[TodoItem]`: a body that creates a TodoItem; in the endpoint it is one, not yet stored."""


class Changes(Generic[T]):
    """`Changes[TodoItem]`: a body that changes a TodoItem; absent members stay as they are (RFC 7396)."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members
        self.server_set: dict[str, Any] = {}
        """Members that the server sets, as they were sent: an answer may be sent back whole."""

    def apply(self, row: T) -> None:
        """Set the members that were sent; raises RequestValidationError unless those of the server are as they were."""
        errors = [
            {
                "type": "set_by_server",
                "loc": ("body", name),
                "msg": f"is set by the server, and is {json.dumps(_written(row, name))}",
            }
            for name, value in self.server_set.items()
            if not _is_same(row, name, value)
        ]
        if errors:
            raise RequestValidationError(errors)
        for name, value in self.members.items():
            setattr(row, name, value)

    def refuse_server_set(self) -> None:
        """For a change of many, which has no answer that could be sent back."""
        if self.server_set:
            raise RequestValidationError(
                [{"type": "extra_forbidden", "loc": ("body", name), "msg": ""} for name in self.server_set]
            )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Self], handler: GetCoreSchemaHandler) -> CoreSchema:
        (table,) = get_args(source)
        body = _derive(table, "Update", _CHANGES, table.update_examples, required=False)
        of_server = {name for name in member_names(table) if not is_settable(table.model_fields[name])}

        def split(value: Any, read: core_schema.ValidatorFunctionWrapHandler) -> Changes[Any]:
            if not isinstance(value, dict):
                return cls(_members(table, read(value)))
            changes = cls(_members(table, read({name: each for name, each in value.items() if name not in of_server})))
            changes.server_set = {name: each for name, each in value.items() if name in of_server}
            return changes

        return core_schema.no_info_wrap_validator_function(split, handler(body))


def _is_same(row: Table, name: str, sent: Any) -> bool:
    """Whether a member that was sent is the one that the row has."""
    try:
        read = _reader(type(row), name).validate_python(sent)
    except ValidationError:
        return False
    same_kind = all(isinstance(sent, kind) == isinstance(_written(row, name), kind) for kind in (str, bool))
    return same_kind and bool(read == getattr(row, name))


@cache
def _reader(table: type[Table], name: str) -> TypeAdapter[Any]:
    field = table.model_fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata]
    return TypeAdapter(kind)


def _written(row: Table, name: str) -> Any:
    """A member as JSON has it."""
    return row.model_dump(mode="json")[name]


def _members(table: type[Table], body: BaseModel) -> dict[str, Any]:
    """The members that were sent. Of two fields that exclude each other, setting one clears the other."""
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
        if is_settable(field):
            default = ... if required and field.is_required() else MISSING
            fields[field_name] = (_annotation(field), default)

    def describe(schema: dict[str, Any]) -> None:
        tidy(schema)
        if not required:
            _keep_unset_absent(schema)
        schema["examples"] = examples

    config = ConfigDict(extra="forbid", strict=True, json_schema_extra=describe)
    return create_model(f"{verb}{table.__name__}", __config__=config, __doc__=description, **fields)


def _keep_unset_absent(schema: dict[str, Any]) -> None:
    """Tell oapi-codegen not to send null for each member that its caller has not set: the server would clear them."""
    for member in schema["properties"].values():
        if {"type": "null"} in member.get("anyOf", ()):
            member["x-omitempty"] = True


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
