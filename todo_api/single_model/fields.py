"""The types of members: what a value must be, said once for the table, the requests and the document."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self
from unicodedata import normalize

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from todo_api.single_model.folding import is_blank

MAX_INTEGER = 2**53 - 1
"""The largest integer that JSON readers of every language keep exactly (RFC 8259, section 6)."""

MAX_TEXT = 16_384
"""Characters of a text at the most."""

Id = Annotated[int, Ge(1), Le(MAX_INTEGER)]


def utc_now() -> datetime:
    return datetime.now(UTC)


def _digits(text: Any) -> Any:
    """Refuse forms that Pydantic reads as an integer and a URL does not have: `+1`, `1.0`, `1_0`."""
    if isinstance(text, str) and not re.fullmatch("-?[0-9]{1,20}", text):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return text


def _true_or_false(text: Any) -> Any:
    if isinstance(text, str) and text not in _BOOLEANS:
        raise PydanticCustomError("bool_parsing", "must be true or false")
    return _BOOLEANS[text] if isinstance(text, str) else text


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
"""The forms that a URL has: PHP's clients send numbers."""


Digits = BeforeValidator(_digits)
TrueOrFalse = Annotated[bool, BeforeValidator(_true_or_false)]


class Matching:
    """Marks text that must match a pattern; `documented` is as much of it as every language can read.

    Ruby refuses a pattern with a character beyond ASCII, and PHP one with `\\u`, so that their clients would not load.
    """

    def __init__(self, pattern: str, code: str, message: str, *, documented: str) -> None:
        self.documented = documented
        self._compiled = re.compile(pattern)
        self._error = (code, message)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"pattern": self.documented}

    def _check(self, text: str) -> str:
        if not self._compiled.fullmatch(text):
            raise PydanticCustomError(*self._error)
        return text


_BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# White space is written out: languages differ in what \s is.
_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
NOT_BLANK = f"^[^{_BREAKS}]*[^{_SPACES}{_BREAKS}][^{_BREAKS}]*$"
DOCUMENTED_NOT_BLANK = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"

_ONE_LINE = "must be one line without control characters, and not blank"


def _visible(text: str) -> str:
    if is_blank(text):
        raise PydanticCustomError("one_line", _ONE_LINE)
    return text


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Matching(NOT_BLANK, "one_line", _ONE_LINE, documented=DOCUMENTED_NOT_BLANK),
    AfterValidator(_visible),
]
"""Text on one line; white space around it is dropped."""

TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
DOCUMENTED_TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

Text = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT),  # without a constraint Pydantic would let a lone surrogate through
    Matching(TEXT, "text", "must be text without control characters", documented=DOCUMENTED_TEXT),
]
"""Text of any number of lines."""


def _none_if_blank(text: str | None) -> str | None:
    return text if text and not is_blank(text) else None


OptionalText = Annotated[Text | None, AfterValidator(_none_if_blank)]
"""Text of any number of lines; blank text is none."""


class Distinct:
    """Marks a list whose elements all differ."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"uniqueItems": True}

    def _check(self, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise PydanticCustomError("distinct", "must hold each element once")
        return values


def _composed(text: str) -> str:
    """The canonical form NFC: tags are names, so one that looks the same is the same."""
    return normalize("NFC", text)


Tag = Annotated[Line, AfterValidator(_composed), MinLen(1), MaxLen(64)]
Tags = Annotated[list[Tag], MaxLen(32), Distinct()]

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MINUTE = "([01][0-9]|2[0-3]):[0-5][0-9]"
_INSTANT = rf"{_DAY}[Tt]{_MINUTE}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_MINUTE})"


def _full_date(value: Any) -> Any:
    """Refuse forms that Pydantic reads as a day and RFC 3339 does not have."""
    if isinstance(value, str) and not re.fullmatch(_DAY, value):
        raise PydanticCustomError("date", "must be a day, such as 2026-12-24")
    return value


def _date_time(value: Any) -> Any:
    """Refuse forms that Pydantic reads as an instant and RFC 3339 does not have."""
    if isinstance(value, str) and not re.fullmatch(_INSTANT, value):
        raise PydanticCustomError("date_time", "must be an instant with its zone, such as 2026-12-24T18:00:00Z")
    return value


_IN_QUERY = re.compile(
    rf"(?P<day>{_DAY})[Tt ](?P<time>{_MINUTE}:[0-5][0-9](\.[0-9]+)?) ?"
    "((?P<utc>[Zz]|UTC)|(?P<sign>[ +-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))"
)


def from_query(text: Any) -> Any:
    """The instant of a URL in the form of RFC 3339: clients write it as their language prints it.

    Ruby and Rust send `2026-12-24 18:00:00 UTC` or `2026-12-24 18:00:00 +0100`, and a URL makes a blank of a bare `+`.
    """
    found = _IN_QUERY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return text
    sign = "+" if found["sign"] == " " else found["sign"]
    zone = "Z" if found["utc"] else f"{sign}{found['hours']}:{found['minutes']}"
    return f"{found['day']}T{found['time']}{zone}"


_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _in_utc(value: datetime) -> datetime:
    try:
        instant = value.astimezone(UTC)
    except OverflowError:
        instant = _LAST
    if not _FIRST < instant < _LAST:  # which asyncpg takes for infinity
        between = "must be after 0001-01-01T00:00:00Z and before 9999-12-31T23:59:59.999999Z"
        raise PydanticCustomError("date_time", between)
    return instant


Day = Annotated[date, BeforeValidator(_full_date)]
"""A day of the calendar, without a time and a zone."""
Instant = Annotated[datetime, BeforeValidator(_date_time), AfterValidator(_in_utc)]
"""An instant, kept in UTC."""


class DayOrInstant:
    """A day or an instant, as a parameter of a URL has it."""

    def __init__(self, day: date | None, instant: datetime | None) -> None:
        self.day = day
        self.instant = instant

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls._read,
            core_schema.str_schema(max_length=64),
            serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "maxLength": 64}

    @classmethod
    def _read(cls, text: str) -> Self:
        text = from_query(text)
        try:
            if re.fullmatch(_DAY, text):
                return cls(date.fromisoformat(text), None)
            if re.fullmatch(_INSTANT, text):
                return cls(None, _in_utc(datetime.fromisoformat(text.upper())))
        except PydanticCustomError:
            raise
        except ValueError:
            pass  # the form is right and there is no such day or hour: the same message
        raise PydanticCustomError("date_time", "must be a day (2026-12-24) or an instant (2026-12-24T18:00:00Z)")

    def __str__(self) -> str:
        return str(self.day) if self.day else str(self.instant.isoformat() if self.instant else "")
