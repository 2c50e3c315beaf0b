"""The bullets and numbers that list items begin with."""

from __future__ import annotations

import re

_BULLET = r"[•‣◦▪▫■□●○∙·–—*\-\ue000-\uf8ff]"
_NUMBER = r"\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d+(?:\.\d+)+\.?"
_MARK = re.compile(rf"(?:{_BULLET}|{_NUMBER}|[⁰¹²³⁴-⁹]+)(?=\s|$)")
_LEADING_BULLET = re.compile(rf"^{_BULLET}(?=\s)")


def begins_with_mark(text: str) -> bool:
    """Gives whether the first word of `text` is the mark of a list item or footnote."""
    return bool(_MARK.match(text))


def is_mark(text: str) -> bool:
    """Gives whether `text` is nothing but such a mark."""
    return bool(_MARK.fullmatch(text))


def with_dash(text: str) -> str:
    """Gives `text` with "-" for the bullet it begins with."""
    return _LEADING_BULLET.sub("-", text)
