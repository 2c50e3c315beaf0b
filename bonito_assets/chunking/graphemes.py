"""Tells where a user-perceived character (grapheme cluster, Unicode annex 29) begins."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

import regex

# Between two of these there is always a boundary, whatever stands around them.
_PLAIN = r"[\p{GCB=Other}--\p{Extended_Pictographic}]"
_ANCHOR = regex.compile(rf"(?<={_PLAIN}){_PLAIN}", regex.V1)
_ANCHOR_BEFORE = regex.compile(rf"(?r)(?<={_PLAIN}){_PLAIN}", regex.V1)
# Flags are pairs of letters of their own. `\X` goes back to the first of a row of them for each.
_CLUSTER = regex.compile(
    r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*|\X"
)
# Below the first combining mark the only cluster of two characters is a line end of two.
_FIRST_MARK = "\u0300"


class Graphemes:
    """The grapheme clusters of a text, looked up only where they are asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bounds = array("q")

    def boundary(self, place: int) -> int:
        """Gives the first boundary at or after `place`."""
        if self._surely(place):
            return place
        bounds = self._around(place)
        return bounds[bisect_left(bounds, place)]

    def boundary_before(self, place: int) -> int:
        """Gives the last boundary at or before `place`."""
        if self._surely(place):
            return place
        bounds = self._around(place)
        return bounds[bisect_right(bounds, place) - 1]

    def _surely(self, place: int) -> bool:
        text = self._text
        if not 0 < place < len(text):
            return True
        before, after = text[place - 1], text[place]
        return before < _FIRST_MARK and after < _FIRST_MARK and (before, after) != ("\r", "\n")

    def _around(self, place: int) -> array[int]:
        # A stretch without an anchor may be as long as the text, so what was found is kept.
        if not (self._bounds and self._bounds[0] <= place <= self._bounds[-1]):
            self._bounds = self._found(place)
        return self._bounds

    def _found(self, place: int) -> array[int]:
        """Gives the boundaries from the last anchor up to `place` to the next one after it."""
        before = _ANCHOR_BEFORE.search(self._text, 0, place + 1)
        after = _ANCHOR.search(self._text, place)
        first = before.start() if before else 0
        last = after.start() if after else len(self._text)
        starts = (m.start() for m in _CLUSTER.finditer(self._text, first, last))
        return array("q", [*starts, last]) if first < last else array("q", [last])
