"""What an endpoint says of its route by its signature: its parts, its body and its answer."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel

from todo_api.http.parts import Part
from todo_api.single_model.table import Table, is_settable, is_versioned, member_names

_OVERWRITES_NOTHING: set[Callable[..., Any]] = set()
_TAKES_ALONG: set[Callable[..., Any]] = set()

E = TypeVar("E", bound=Callable[..., Any])


def may_lack_tag(endpoint: E) -> E:
    """Mark an endpoint that is never asked for `If-Match`, as it overwrites nothing."""
    _OVERWRITES_NOTHING.add(endpoint)
    return endpoint


def overwrites_nothing(endpoint: Callable[..., Any]) -> bool:
    return endpoint in _OVERWRITES_NOTHING


def may_take_along(endpoint: E) -> E:
    """Mark an endpoint of one row that changes others with it, be they so many that it is a change of many."""
    _TAKES_ALONG.add(endpoint)
    return endpoint


def takes_along(endpoint: Callable[..., Any]) -> bool:
    return endpoint in _TAKES_ALONG


def annotations(endpoint: Callable[..., Any]) -> dict[str, Any]:
    return {name: each.annotation for name, each in inspect.signature(endpoint).parameters.items()}


def body_members(endpoint: Callable[..., Any]) -> dict[str, bool]:
    """The members that its body may name, each with whether a client may set it."""
    bodies = [kind for kind in annotations(endpoint).values() if not parts_of(kind)]
    for each in (inner for kind in bodies for inner in _inside(kind) if isinstance(inner, type)):
        if issubclass(each, Table):
            return {name: is_settable(each.model_fields[name]) for name in member_names(each)}
        if issubclass(each, BaseModel):
            return dict.fromkeys(each.model_fields, True)
    return {}


def has_list(endpoint: Callable[..., Any]) -> bool:
    """Whether its body is a list."""
    return any(get_origin(inner) is list for kind in annotations(endpoint).values() for inner in get_args(kind)[:1])


def _inside(annotation: Any) -> Iterator[Any]:
    """A type, and all types that it is made of."""
    yield annotation
    for each in get_args(annotation):
        yield from _inside(each)


def parts_of(annotation: Any) -> list[Part]:
    return [mark for mark in get_args(annotation)[1:] if isinstance(mark, Part)]


def answers_row(endpoint: Callable[..., Any]) -> bool:
    answered = inspect.signature(endpoint).return_annotation
    return isinstance(answered, type) and issubclass(answered, Table) and is_versioned(answered)
