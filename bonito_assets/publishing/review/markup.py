"""Text from corpora as it may stand in a page: never markup, never script, nothing invisible."""

from __future__ import annotations

import html
import json
import re
from typing import Any

# Characters that are not seen but change how the others are read: controls, the marks that turn
# the direction of writing, joiners of no width, line ends of Unicode, and tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# In a script element `</script` and `<!--` would be read as HTML; inside JSON strings an escape
# says the same.
_NOT_RAW = re.compile(f"[<>&]|{_UNSEEN.pattern}")


def text(value: Any) -> str:
    """Gives `value` as HTML text or a quoted attribute; unseen characters as [U+202E]."""
    return html.escape(_UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", str(value)))


def embedded(value: Any) -> str:
    """Gives `value` as JSON that can stand inside a script element, whatever is in its texts."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _NOT_RAW.sub(_escaped, plain)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
