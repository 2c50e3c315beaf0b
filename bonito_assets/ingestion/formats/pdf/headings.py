"""Which paragraphs are headings, how deep they are, and which one is the title."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from bonito_assets.ingestion.formats.pdf.paragraphs import Paragraph
from bonito_assets.ingestion.formats.pdf.writing import clean

# Letters this much larger than those of the body are a heading.
HEADING_RATIO = 1.15
_DEEPEST_HEADING = 6


def heading_levels(paragraphs: Sequence[Paragraph]) -> list[int | None]:
    """Gives the depth of each paragraph that is a heading, None for the others.

    A heading has larger letters than the body, the largest being level 1; or it is bold where the
    body is not, which is the level below.
    """
    lines = [line for paragraph in paragraphs for line in paragraph.lines]
    n_bold = sum(len(line.text) for line in lines if line.bold)
    bold_body = n_bold > 0.5 * sum(len(line.text) for line in lines)
    body = _body_size(paragraphs)
    kinds = [_kind(paragraph, body, bold_body) for paragraph in paragraphs]
    ranks = sorted({kind for kind in kinds if kind}, reverse=True)
    # Sizes that differ by less than a twentieth are one level.
    levels: dict[float, int] = {}
    level = 0
    for before, kind in pairwise([math.inf, *ranks]):
        level += kind < 0.95 * before
        levels[kind] = level
    return [min(levels[kind], _DEEPEST_HEADING) if kind else None for kind in kinds]


def largest_heading(first_page: Sequence[Paragraph], paragraphs: Sequence[Paragraph]) -> str | None:
    """Gives the heading of page one with the largest letters, None where no letters are larger."""
    body = _body_size(paragraphs)
    headings = [
        paragraph
        for paragraph in first_page
        # As if the body were bold: its letters must be larger.
        if _kind(paragraph, body, bold_body=True)
    ]
    if not headings:
        return None
    largest = max(headings, key=lambda paragraph: paragraph.size)
    return clean(" ".join(line.text for line in largest.lines)) or None


def _body_size(paragraphs: Iterable[Paragraph]) -> float:
    """Gives the size of most letters, to half a point; 0 where there are only tables."""
    weights: Counter[float] = Counter()
    for paragraph in paragraphs:
        for line in paragraph.lines:
            weights[round(2 * line.size) / 2] += len(line.text)
    return weights.most_common(1)[0][0] if weights else 0.0


def _kind(paragraph: Paragraph, body: float, bold_body: bool) -> float | None:
    """Gives the size of a heading, the body's for a bold one; None for another paragraph."""
    if not paragraph.lines or len(paragraph.lines) > 3 or any(paragraph.breaks):
        return None
    text = " ".join(line.text for line in paragraph.lines)
    n_letters = sum(char.isalpha() for char in text)
    if len(text) > 200 or n_letters < 3 or n_letters < 0.5 * len(text):
        return None
    if paragraph.size >= HEADING_RATIO * body:
        return round(2 * paragraph.size) / 2
    sentence = text.endswith((".", ",", ";"))
    bold = paragraph.bold and not bold_body and not sentence and paragraph.size > 0.95 * body
    return body if bold else None
