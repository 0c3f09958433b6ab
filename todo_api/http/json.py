"""JSON of a body, as its standards count it (RFC 8259, JSON Schema 2020-12)."""

import json
from typing import Any

from fastapi import Request

from todo_api.http.problem import InvalidValue
from todo_api.http.problems import Invalid, Malformed


class StrictJsonRequest(Request):
    """A request whose JSON must be UTF-8 and have each member of an object once. `1.0` and `1e2` are integers there."""

    async def json(self) -> Any:
        try:
            text = (await self.body()).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Malformed("The body is not UTF-8.") from None
        repeats: list[_Repeated] = []

        def make(members: list[tuple[str, Any]]) -> dict[str, Any]:
            made = dict(members)
            if len(made) < len(members):
                made = _Repeated(members)
                repeats.append(made)
            return made

        read = json.loads(text, parse_float=_number, object_pairs_hook=make)
        if repeats:
            raise Invalid([_invalid(pointer) for pointer in _find(read, "")])
        return read


class _Repeated(dict[str, Any]):
    """An object that has a member more than once."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        names = [name for name, _ in members]
        self.repeated = [name for name in self if names.count(name) > 1]


def _find(value: Any, pointer: str) -> list[str]:
    """The pointers (RFC 6901) of all members that come more than once."""
    if isinstance(value, list):
        return [found for index, each in enumerate(value) for found in _find(each, f"{pointer}/{index}")]
    if not isinstance(value, dict):
        return []
    here = [f"{pointer}/{escaped(name)}" for name in getattr(value, "repeated", ())]
    return here + [found for name, each in value.items() for found in _find(each, f"{pointer}/{escaped(name)}")]


def escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _invalid(pointer: str) -> InvalidValue:
    return InvalidValue(pointer=pointer, detail="may be given once", code="repeated_member")


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number
