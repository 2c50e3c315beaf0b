"""Stable ids: hex digests of what a thing is, the same in every run and on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_CANONICAL = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def digest(*parts: Any) -> str:
    """Gives the 32-hex-digit id of `parts`.

    The parts go through JSON, so that ``("ab", "c")`` and ``("a", "bc")`` differ. 128 bits keep
    the chance of one collision among 10^12 ids below 10^-14 (birthday bound).
    """
    return hashlib.sha256(_CANONICAL.encode(parts).encode("ascii")).hexdigest()[:32]
