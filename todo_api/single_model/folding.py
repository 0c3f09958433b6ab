"""Folding: two texts that look the same to a person, but for case and accents, become the same text."""

import re
from unicodedata import normalize

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point of Unicode: joiners, variation selectors and the like."""
# Of all marks, those of Latin, Greek and Cyrillic alone: others tell Japanese and Indian letters apart.
_DROPPED = re.compile(f"[\u0300-\u036f{_INVISIBLE}]")
_NOTHING = re.compile(rf"[\s{_INVISIBLE}]*")
_BLANKS = re.compile(r"\s+")


def fold(text: str) -> str:
    """The text that a search compares: compatibility forms, accents, case and blanks make no difference."""
    if not text.isascii():
        # Case before the marks are dropped, as one of them is a letter in capitals: the Greek iota subscript.
        text = normalize("NFKD", normalize("NFKD", text).casefold())
        text = normalize("NFC", _DROPPED.sub("", text))
    return _BLANKS.sub(" ", text.lower() if text.isascii() else text)


def is_blank(text: str) -> bool:
    """Whether there is nothing to see."""
    return _NOTHING.fullmatch(text) is not None
