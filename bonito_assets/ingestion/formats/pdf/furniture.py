"""Headers, footers and page numbers: what repeats at the outer end of the pages."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from bonito_assets.ingestion.formats.pdf.headings import HEADING_RATIO
from bonito_assets.ingestion.formats.pdf.rows import Row, row_size, row_text

# So much of a page's height at either end may be furniture, and so many rows of it.
_MARGIN_SHARE = 0.2
_MOST_FURNITURE = 4
_NUMBERS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]+", re.IGNORECASE | re.ASCII)  # no Turkish i
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def without_furniture(pages: list[list[Row]], numbers: Sequence[int]) -> list[list[Row]]:
    """Gives the rows of each page without those that repeat at the outer end of the pages.

    `pages` are those with text, and `numbers` are theirs in the file, where others lie between.
    A row repeats where its text is the same, or the same but for a number that grows with the
    pages. It must do so on three pages, or on both of two. Where half of the pages begin or end
    such a row with their number, any row that does so is furniture, whatever else it says: the
    title of a chapter that fills but two pages. A page that would lose all is kept.
    """
    needed = 3 if len(pages) > 2 else 2
    kept = [list(rows) for rows in pages]
    for end in (0, -1):
        inwards = [rows if end == 0 else rows[::-1] for rows in kept]
        depths = [0] * len(pages)
        peeling = [page for page, rows in enumerate(inwards) if rows]
        for depth in range(_MOST_FURNITURE):
            keys = {
                page: _keys(inwards[page][depth], {page, numbers[page]}, pages[page])
                for page in peeling
                if depth < len(inwards[page])
            }
            counts = Counter(key for found in keys.values() for key in found)
            peeling = [
                page
                for page, found in keys.items()
                if any(
                    counts[key] >= (needed if key[0] else max(needed, len(pages) / 2))
                    for key in found
                )
            ]
            for page in peeling:
                if _is_apart(inwards[page], depth, pages[page]):
                    depths[page] = depth + 1
        for page, depth in enumerate(depths):
            inner = inwards[page][depth:]
            kept[page] = inner if end == 0 else inner[::-1]
    return [left or rows for left, rows in zip(kept, pages, strict=True)]


def _is_apart(inwards: list[Row], depth: int, rows: list[Row]) -> bool:
    """Gives whether a row lies at the end of its page and a gap sets it off from the text."""
    top, bottom = rows[0][0].y, rows[-1][0].y
    y = inwards[depth][0].y
    margin = _MARGIN_SHARE * (bottom - top)
    if not (y <= top + margin or y >= bottom - margin):
        return False
    if depth + 1 == len(inwards):
        return True
    pitch = statistics.median(after[0].y - before[0].y for before, after in pairwise(rows))
    return abs(inwards[depth + 1][0].y - y) > 1.2 * pitch


def _keys(row: Row, places: set[int], rows: list[Row]) -> set[tuple[str, int | None, int]]:
    """Gives what a row must share with rows of other pages to be furniture.

    That is its size, and either its text, or its text without a number and by how much this differs
    from that of the page, or this difference alone where the number is at either end. A page has
    two `places`, in the file and among the pages with text: blank pages are counted by most authors
    but plates are not.
    """
    text = row_text(row)
    size = round(row_size(row))
    keys: set[tuple[str, int | None, int]] = {(text, None, size)}
    body = statistics.median(row_size(other) for other in rows)
    if row_size(row) > HEADING_RATIO * body and any(char.isalpha() for char in text):
        # "Chapter 3" in large letters is a heading, even where each chapter fills one page.
        return keys
    for match in _NUMBERS.finditer(text):
        if len(match[0]) > 5:  # no document has a million pages
            continue
        before, after = text[: match.start()], text[match.end() :]
        differences = [int(match[0]) - place for place in places]
        keys |= {(f"{before}#{after}", difference, size) for difference in differences}
        if not before or not after:
            keys |= {("", difference, size) for difference in differences}
    if _ROMAN.fullmatch(text):
        values = [_ROMAN_VALUES[char] for char in text.lower()]
        number = sum(-a if a < b else a for a, b in pairwise([*values, 0]))
        keys |= {("#", number - place, size) for place in places}
    return keys
