"""From lines to paragraphs, also those that go on in the next column or on the next page."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from bonito_assets.ingestion.formats.pdf.layout import Block
from bonito_assets.ingestion.formats.pdf.marks import begins_with_mark
from bonito_assets.ingestion.formats.pdf.rows import Line
from bonito_assets.ingestion.formats.pdf.words import Table

# A word that its line divides, or that has a hyphen there anyway. Without "\b" the search would
# begin anew at each letter of a long word.
DIVIDED_WORD = re.compile(r"\b(\w+)[-\u2010\u00ad]$")
# A dash that has no space before it, so none after it either.
UNSPACED_DASH = re.compile(r"\S(?:--|—)$")
_SENTENCE_END = re.compile(r"[.!?:;。！？؟।…][\"'”’»)\]]*$")


@dataclass(slots=True)
class Paragraph:
    """The lines of one paragraph, or a table."""

    lines: list[Line] = field(default_factory=list)
    table: Table | None = None
    # True where a line ends because its author wanted it to: an address, a poem.
    breaks: list[bool] = field(default_factory=list)

    @property
    def size(self) -> float:
        """The size of its first line, 0 for a table."""
        return self.lines[0].size if self.lines else 0.0

    @property
    def bold(self) -> bool:
        """Whether all of it is bold."""
        return bool(self.lines) and all(line.bold for line in self.lines)


def form_paragraphs(blocks: Iterable[Block]) -> list[list[Paragraph]]:
    """Gives the paragraphs of each block."""
    return [
        [Paragraph(table=block.table)] if block.table else _split(block.lines) for block in blocks
    ]


def flow(pages: Iterable[list[list[Paragraph]]]) -> list[Paragraph]:
    """Gives all paragraphs in order, those that go on after a column or page as one."""
    paragraphs: list[Paragraph] = []
    for blocks in pages:
        for block in blocks:
            rest = block
            open_one = _open(paragraphs, block[0])
            if open_one:
                open_one.breaks += [False, *block[0].breaks]
                open_one.lines += block[0].lines
                rest = block[1:]
            paragraphs += rest
    return paragraphs


def _split(lines: list[Line]) -> list[Paragraph]:
    pitches = [
        pitch
        for before, after in pairwise(lines)
        if 0 < (pitch := (after.y - before.y) / after.size) < 2.5
    ]
    # The lower quartile is the pitch within paragraphs, even where most have but two lines.
    usual = statistics.quantiles(pitches, n=4)[0] if len(pitches) > 1 else 1.2
    usual = max(usual, 1.0)
    paragraphs: list[Paragraph] = []
    for index, line in enumerate(lines):
        before = lines[index - 1] if index else None
        after = lines[index + 1] if index + 1 < len(lines) else None
        if before is None or _starts_paragraph(before, line, after, usual):
            paragraphs.append(Paragraph([line]))
        else:
            paragraphs[-1].lines.append(line)
    for paragraph in paragraphs:
        paragraph.breaks = _breaks(paragraph.lines)
    return paragraphs


def _breaks(lines: list[Line]) -> list[bool]:
    """Gives for each line but the last whether it ends because its author wanted it to.

    So it does where the next word would have fitted on it. In running text a line may be short by
    chance, but then the sentence goes on below; in an address or a poem most lines are short.
    """
    edge = lines[0].edge
    n_within = sum(line.text[0].islower() for line in lines[1:])
    if len(lines) > 2 and 2 * n_within > len(lines) - 1:
        # Running text, maybe a quotation that is narrower than the column.
        edge = max(line.right for line in lines)
    short = [not _reaches(before, edge, line) for before, line in pairwise(lines)]
    verse = len(short) > 2 and 2 * sum(short) >= len(short)
    return [
        _starts_item(before, line)
        or verse
        or (early and (_ends(before) or not line.text[0].islower()))
        for early, (before, line) in zip(short, pairwise(lines), strict=True)
    ]


def _reaches(line: Line, edge: float, after: Line) -> bool:
    """Gives whether the first word of `after` would not have fitted on `line`."""
    divided = DIVIDED_WORD.search(line.text) or UNSPACED_DASH.search(line.text)
    return (
        bool(divided and after.text[0].isalnum())
        or edge - line.right < after.first_width + 0.25 * line.size
    )


def _starts_paragraph(before: Line, line: Line, after: Line | None, usual: float) -> bool:
    em = line.size
    if abs(before.size - line.size) > 0.1 * em or before.bold != line.bold:
        return True
    if (line.y - before.y) / em > 1.25 * usual:
        return True
    if line.bold and not _reaches(before, before.edge, line):
        # One heading below another.
        return True
    indented = 0.8 * em < line.left - before.left < 6 * em and not begins_with_mark(before.text)
    outdented = after is not None and line.left - after.left > 0.8 * em
    # The first line of a paragraph stands in; lines that are centred do as well, and end early.
    return indented and (outdented or _ends(before)) and not _is_centred(before, line)


def _is_centred(first: Line, second: Line) -> bool:
    middle = (first.left + first.right) / 2
    return abs(middle - (second.left + second.right) / 2) < 0.5 * first.size


def _ends(line: Line) -> bool:
    return bool(_SENTENCE_END.search(line.text))


def _starts_item(before: Line, line: Line) -> bool:
    if not begins_with_mark(line.text):
        return False
    return _ends(before) or abs(line.left - before.left) > 0.5 * line.size


def _open(paragraphs: list[Paragraph], following: Paragraph) -> Paragraph | None:
    """Gives the paragraph that goes on in `following`, or None. Footnotes may lie between."""
    if not following.lines:
        return None
    line = following.lines[0]
    # A footnote area longer than this is no footnote area.
    for paragraph in reversed(paragraphs[-12:]):
        if not paragraph.lines:
            return None
        last = paragraph.lines[-1]
        if last.size < 0.93 * line.size:
            continue
        goes_on = (
            abs(last.size - line.size) < 0.05 * line.size
            and last.bold == line.bold
            and not _ends(last)
            and not begins_with_mark(line.text)
            # One or two lines do not say where a column ends.
            and (
                line.text[0].islower()
                or (len(paragraph.lines) > 2 and _reaches(last, last.edge, line))
            )
        )
        return paragraph if goes_on else None
    return None
