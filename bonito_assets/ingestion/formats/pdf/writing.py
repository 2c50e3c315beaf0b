"""From paragraphs to the text: lines are joined, and words that lines divided are mended."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce

from bonito_assets.ingestion.formats.pdf.marks import with_dash
from bonito_assets.ingestion.formats.pdf.paragraphs import DIVIDED_WORD, UNSPACED_DASH, Paragraph

_WORD = re.compile(r"\w+(?:[-\u2010]\w+)*")
# Where fewer lines than this end in a hyphen nobody divided words: the hyphens are their own.
_HYPHENATING_SHARE = 0.02
_ENOUGH_LINES = 100
_BLANK_LINE = "\n\n"


def write(
    paragraphs: Sequence[Paragraph], levels: Sequence[int | None]
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Gives the text of all paragraphs, and where its headings start and how deep they are.

    `levels` has the depth of each paragraph that is a heading, None for the others.
    """
    join = _joining(paragraphs)
    headings: list[tuple[int, int]] = []
    parts: list[str] = []
    start = 0
    for paragraph, level in zip(paragraphs, levels, strict=True):
        part = _paragraph_text(paragraph, join)
        if not part:
            continue
        if level:
            headings.append((start, level))
        parts.append(part)
        start += len(part) + len(_BLANK_LINE)
    return _BLANK_LINE.join(parts), tuple(headings)


def clean(line: str) -> str:
    """Gives a line without what is no text, each white space as one space."""
    # Soft hyphens are no characters of the word, and private ones mean something in one font only.
    return " ".join(re.sub(r"[\u00ad\ue000-\uf8ff\U000f0000-\U0010fffd]", "", line).split())


def _paragraph_text(paragraph: Paragraph, join: Callable[[str, str], str]) -> str:
    if paragraph.table:
        cells = [[reduce(join, cell.split("\n")) for cell in row] for row in paragraph.table]
        return "\n".join(clean(" | ".join(row)) for row in cells)
    text = with_dash(paragraph.lines[0].text)
    for line, own in zip(paragraph.lines[1:], paragraph.breaks, strict=True):
        text = f"{text}\n{with_dash(line.text)}" if own else join(text, line.text)
    return "\n".join(clean(line) for line in text.split("\n")).strip()


def _joining(paragraphs: Sequence[Paragraph]) -> Callable[[str, str], str]:
    """Gives the function that joins a line with the next, with what the document knows of words."""
    lines = [line.text for paragraph in paragraphs for line in paragraph.lines]
    known = Counter(
        word.casefold() for text in lines for word in _WORD.findall(DIVIDED_WORD.sub("", text))
    )
    n_broken = sum(bool(DIVIDED_WORD.search(text)) for text in lines)
    divides = len(lines) < _ENOUGH_LINES or n_broken >= _HYPHENATING_SHARE * len(lines)

    def join(text: str, line: str) -> str:
        broken = DIVIDED_WORD.search(text)
        continued = re.match(r"\w+", line)
        if not broken or not continued:
            return text + _between(text, line) + line
        head, tail = broken[1], continued[0]
        if text.endswith("\u00ad") or known[(head + tail).casefold()]:
            keeps = False
        elif known[f"{head}-{tail}".casefold()]:
            keeps = True
        else:
            keeps = not divides or not tail[0].islower() or not head[-1].isalpha()
        return (text if keeps else text[:-1]) + line

    return join


def _between(text: str, line: str) -> str:
    # Chinese and Japanese have no spaces, and an unspaced dash stays so.
    wide = all(unicodedata.east_asian_width(char) in "WF" for char in (text[-1], line[0]))
    hangul = "HANGUL" in unicodedata.name(text[-1], "")
    return "" if (wide and not hangul) or UNSPACED_DASH.search(text) else " "
