"""Cuts a document into passages of at most so many characters, without losing a word.

Bonito was trained on passages cut at 2,048 characters, so a passage must be short, whatever the
model's window. Cuts fall between paragraphs where possible, else between sentences, else between
words, and inside a word only when the word alone is too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

# The end of a unit at each level; text before the first and after the last match is a unit too.
_PARAGRAPH_ENDS = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？؟।])|\n\s*")
_WORD_ENDS = re.compile(r"\s+")
_LEVELS = (_PARAGRAPH_ENDS, _SENTENCE_ENDS, _WORD_ENDS)


def passages(text: str, max_chars: int) -> list[Span]:
    """Gives the ``(start, end)`` offsets of the passages of `text`, in order.

    Offsets count Unicode code points. Every passage has 1 to `max_chars` of them, starts and ends
    with a character that is no whitespace, and together they cover every such character once.
    Raises ``ValueError`` for a `max_chars` below 1.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars must be at least 1, not {max_chars}")
    packed: list[Span] = []
    for start, end in _units(text, 0, len(text), max_chars, 0):
        # Units follow one another, so a passage may grow over the whitespace between them.
        if packed and end - packed[-1][0] <= max_chars:
            packed[-1] = (packed[-1][0], end)
        else:
            packed.append((start, end))
    return packed


def _units(text: str, start: int, end: int, max_chars: int, level: int) -> Iterator[Span]:
    """Gives the largest stretches of ``text[start:end]`` that fit, from `level` downwards."""
    start, end = _stripped(text, start, end)
    if start == end:
        return
    if end - start <= max_chars:
        yield start, end
        return
    if level == len(_LEVELS):
        for cut in range(start, end, max_chars):
            yield cut, min(cut + max_chars, end)
        return
    begin = start
    for match in _LEVELS[level].finditer(text, start, end):
        yield from _units(text, begin, match.end(), max_chars, level + 1)
        begin = match.end()
    yield from _units(text, begin, end, max_chars, level + 1)


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
