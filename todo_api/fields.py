"""The types of members: what a value must be, said once for the table, the requests and the document."""

import re
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from sqlalchemy import BigInteger, Integer

MAX_ID = 2**53 - 1
"""The largest integer that JSON readers of every language keep exactly (RFC 8259, section 6)."""

Id = Annotated[int, Ge(1), Le(MAX_ID)]

BIG_INTEGER = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on every database; only a column named INTEGER numbers its own rows on SQLite."""


def _digits(text: Any) -> Any:
    """Of the many forms that Pydantic reads as an integer (`+1`, `1.0`, `1_0`), the one that a URL has."""
    if isinstance(text, str) and not re.fullmatch("-?[0-9]{1,20}", text):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return text


def _true_or_false(text: Any) -> Any:
    if isinstance(text, str) and text not in ("true", "false"):
        raise PydanticCustomError("bool_parsing", "must be true or false")
    return text


Digits = BeforeValidator(_digits)
TrueOrFalse = Annotated[bool, BeforeValidator(_true_or_false)]


class OneLine:
    """Marks text that is shown on one line: no control characters, no line separators, not blank."""

    _BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
    _FORBIDDEN = re.compile(f"[{_BREAKS}]")
    # White space is written out: languages differ in what \s is.
    _SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
    PATTERN = f"^[^{_BREAKS}]*[^{_SPACES}{_BREAKS}][^{_BREAKS}]*$"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"pattern": self.PATTERN}

    def _check(self, text: str) -> str:
        if self._FORBIDDEN.search(text):
            raise PydanticCustomError("one_line", "must be one line without control characters")
        return text


Line = Annotated[str, StringConstraints(strip_whitespace=True), OneLine()]
"""Text on one line; white space around it is dropped."""
