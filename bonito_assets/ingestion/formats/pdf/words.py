"""From glyphs to words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from bonito_assets.ingestion.formats.pdf.glyphs import Box, Glyph, turned

Table = list[list[str]]  # cells, row by row; "\n" is between the lines of a cell
# Glyphs of a word, with the box of each: one glyph may stand for several characters.
_Letters = list[tuple[str, Box]]


@dataclass(slots=True)
class Word:
    """A word and its place; or a ruled table, which takes part in the layout as one word."""

    text: str
    left: float
    right: float
    y: float  # its baseline
    size: float
    bold: bool
    spaced: bool  # the file has a space before it
    table: Table | None = None


def form_words(glyphs: Iterable[Glyph], turn: int) -> list[Word]:
    """Gives the words that glyphs make, in the order of the file, after `turn` quarter turns."""
    words: list[Word] = []
    letters: list[_Letters] = []  # of each word
    for glyph in glyphs:
        ends = [turned(*glyph.box[corner : corner + 2], turn)[0] for corner in (0, 2)]
        left, right = min(ends), max(ends)
        y = turned(*glyph.style.origin, turn)[1]
        same_glyph = words and letters[-1][-1][1] == glyph.box and not glyph.apart
        if not words or not (same_glyph or _goes_on(words[-1], glyph, left, right, y)):
            style = glyph.style
            words.append(Word("", left, right, y, style.size, style.bold, glyph.spaced))
            letters.append([])
        letters[-1].append((glyph.text, glyph.box))
        word = words[-1]
        word.left, word.right = min(left, word.left), max(right, word.right)
    for word, spelling in zip(words, letters, strict=True):
        word.text = _spelled(spelling)
    return words


def is_rtl(text: str) -> bool:
    """Gives whether most letters of `text` belong to a script that runs to the left."""
    kinds = Counter(unicodedata.bidirectional(char) for char in text)
    return kinds["R"] + kinds["AL"] > kinds["L"]


def run_to_left(words: Iterable[Word]) -> bool:
    """Gives whether most letters of `words` belong to such a script."""
    return is_rtl(" ".join(word.text for word in words))


def _goes_on(word: Word, glyph: Glyph, left: float, right: float, y: float) -> bool:
    """Gives whether a glyph belongs to the word before it."""
    size = glyph.style.size
    return (
        not glyph.apart
        and abs(y - word.y) <= 0.1 * size
        and abs(size - word.size) <= 0.1 * size
        # Latin goes on at the right end of the word, Arabic at the left. Glyphs may overlap, in
        # italics or where a font that is not in the file was replaced by a wider one.
        and (-size <= left - word.right <= 0.35 * size or -size <= word.left - right <= 0.35 * size)
    )


def _spelled(letters: Sequence[tuple[str, Box]]) -> str:
    """Gives the text of a word.

    PDFium turns what is written to the left into logical order, glyph by glyph; but where one glyph
    stands for several characters these were in order before, and are turned back here.
    """
    text = ""
    for _, cluster in groupby(letters, key=lambda letter: letter[1]):
        chars = [char for char, _ in cluster]
        shown = "".join(chars)
        text += shown[::-1] if len(chars) > 1 and is_rtl(shown) else shown
    return text
