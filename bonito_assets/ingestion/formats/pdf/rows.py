"""From words to rows, the words that share a baseline; and to lines, rows with their text."""

from __future__ import annotations

import statistics
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise

from bonito_assets.ingestion.formats.pdf.words import Word, is_rtl

Row = list[Word]

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(slots=True)
class Line:
    """The text of one row, or of what stands of it in one column."""

    text: str
    left: float
    right: float
    y: float
    size: float
    bold: bool
    first_width: float  # of its first word, to tell whether it would have fitted on the line before
    edge: float  # where the column ends


def form_rows(words: Iterable[Word]) -> list[Row]:
    """Gives the words that share a baseline, from the top of the page, each from left to right."""
    rows: list[Row] = []
    for word in sorted(words, key=lambda word: word.y):
        anchor = max(rows[-1], key=lambda other: other.size) if rows else None
        if anchor and word.y - anchor.y <= 0.3 * max(word.size, anchor.size):
            rows[-1].append(word)
        else:
            rows.append([word])
    merged: list[Row] = []
    for row in rows:
        if merged and (_raised(merged[-1], row) or _raised(row, merged[-1])):
            merged[-1] = [*merged[-1], *row]
        else:
            merged.append(row)
    return [sorted(row, key=lambda word: word.left) for row in merged]


def form_line(row: Row, edge: float) -> Line:
    """Gives the line that a row makes in a column that ends at `edge`."""
    longest = _longest(row)
    first = _in_reading_order(row)[0]
    return Line(
        row_text(row),
        min(word.left for word in row),
        max(word.right for word in row),
        longest.y,
        longest.size,
        all(word.bold for word in row),
        first.right - first.left,
        edge,
    )


def row_text(row: Row) -> str:
    """Gives the text of a row as it is read, with raised numbers as superscripts."""
    longest = _longest(row)
    text = ""
    for before, word in pairwise([None, *_in_reading_order(row)]):
        glued = before and not word.spaced and abs(word.left - before.right) < 0.12 * word.size
        raised = word.size < 0.8 * longest.size and word.y < longest.y - 0.15 * longest.size
        # A raised number would otherwise become part of the number or word before it.
        shown = word.text.translate(_SUPERSCRIPTS) if raised else word.text
        text += shown if not text or glued else " " + shown
    return text


def row_size(row: Row) -> float:
    """Gives the size of the letters of a row, the median of its words."""
    return statistics.median(word.size for word in row)


def _raised(small: Row, large: Row) -> bool:
    """Gives whether all words of `small` are superscripts or subscripts of words in `large`."""
    size = max(word.size for word in large)
    return (
        max(word.size for word in small) < 0.8 * size
        and abs(small[0].y - large[0].y) < 0.6 * size
        and all(
            any(
                min(abs(word.left - other.right), abs(other.left - word.right)) < 0.3 * size
                for other in large
            )
            for word in small
        )
    )


def _longest(row: Row) -> Word:
    """Gives the word that says best where the row stands and how large it is."""
    return max(row, key=lambda word: len(word.text))


def _in_reading_order(row: Row) -> Row:
    if not any(is_rtl(word.text) for word in row):
        return row
    base = is_rtl(" ".join(word.text for word in row))
    ordered: Row = []
    # Stretches of the other direction run against the line.
    for against, stretch in groupby(
        row[::-1] if base else row,
        key=lambda word: _is_ltr(word.text) if base else is_rtl(word.text),
    ):
        words = list(stretch)
        ordered += words[::-1] if against else words
    return ordered


def _is_ltr(text: str) -> bool:
    return any(unicodedata.bidirectional(char) == "L" for char in text)
