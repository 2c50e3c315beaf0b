"""Gutters, and the columns between them."""

from __future__ import annotations

import math
import statistics
from bisect import bisect
from collections.abc import Sequence

from bonito_assets.ingestion.formats.pdf.marks import is_mark
from bonito_assets.ingestion.formats.pdf.rows import Row, form_rows, row_size
from bonito_assets.ingestion.formats.pdf.words import Word

Gap = tuple[float, float]  # left and right end

# The spaces between words are about 0.25 em wide, those of a justified line rarely above 0.7 em,
# and the narrowest gutter in common use is 10 points beside letters of 10.
_GUTTER_EM = 0.8
# Above this a gap between two cells is seen as such even where there are but two rows.
_WIDE_GUTTER_EM = 2.0


def find_zone(
    rows: list[Row], start: int, left: float, right: float
) -> tuple[int, list[Gap]] | None:
    """Gives where the rows from `start` that leave gutters free come to an end, and the gutters.

    None where the row is one of ordinary text.
    """
    narrowest = _GUTTER_EM * row_size(rows[start])
    free: list[Gap] = [(left - narrowest, right + narrowest)]
    first, last = math.inf, -math.inf
    end, gutters = start, list[Gap]()
    for stop in range(start + 1, len(rows) + 1):
        row = rows[stop - 1]
        free = _common(free, _free(row, left, right, narrowest), narrowest)
        first = min(first, row[0].left)
        last = max(last, *(word.right for word in row))
        # A gutter has words on both sides.
        inner = [gap for gap in free if first < gap[0] and gap[1] < last]
        # A row across a gutter ends a table; elsewhere the gap was one of chance, as in a line of a
        # column that was stretched to its width.
        if not free or (gutters and not inner):
            break
        if (
            len(inner) < len(gutters)
            and len(_wide(rows[start:end], gutters)) > 2
            and not is_prose(rows[start:stop], inner)
        ):
            break
        end, gutters = stop, inner
    if not gutters:
        return None
    if is_prose(rows[start:end], gutters):
        return end, gutters
    ruled = [at for at in range(start, end) if any(word.table for word in rows[at])]
    if ruled:
        # A ruled table may lie in a column, but is no cell of another table.
        return find_zone(rows[: ruled[0]], start, left, right) if start < ruled[0] else None
    # A column may begin and end above the one beside it, a table begins and ends with its rows.
    wide = _wide(rows[start:end], gutters)
    if not wide or wide[0] or _is_list(rows[start:end], gutters):
        return None
    n_rows = wide[-1] + 1
    width = max(stop - begin for begin, stop in gutters)
    needed = 2 if width >= _WIDE_GUTTER_EM * row_size(rows[start]) else 3
    return (start + n_rows, gutters) if len(wide) >= max(needed, 0.5 * n_rows) else None


def split_columns(rows: list[Row], gutters: Sequence[Gap]) -> list[list[Word]]:
    """Gives the words of each column between `gutters`, from left to right."""
    columns: list[list[Word]] = [[] for _ in range(len(gutters) + 1)]
    for row in rows:
        for word in row:
            columns[_column(word, gutters)].append(word)
    return columns


def is_prose(rows: list[Row], gutters: Sequence[Gap]) -> bool:
    """Gives whether each column holds running text: three lines or more that mostly fill it."""
    if not gutters or len(rows) < 3:
        return False
    for column in split_columns(rows, gutters):
        lines = form_rows(column)
        if len(lines) < 3:
            return False
        widths = [line[-1].right - line[0].left for line in lines]
        letters = statistics.median(sum(len(word.text) for word in line) for line in lines)
        if letters < 12 or statistics.median(widths) < 0.7 * max(widths):
            return False
    return True


def _wide(rows: list[Row], gutters: Sequence[Gap]) -> list[int]:
    """Gives the numbers of the rows that have words on more than one side of the gutters."""
    return [
        number
        for number, row in enumerate(rows)
        if len({_column(word, gutters) for word in row}) > 1
    ]


def _free(row: Row, left: float, right: float, narrowest: float) -> list[Gap]:
    """Gives the stretches of a row without a word, from beyond its left end to beyond its right."""
    gaps: list[Gap] = []
    reached = left - narrowest
    for word in row:
        if word.left - reached >= narrowest:
            gaps.append((reached, word.left))
        reached = max(reached, word.right)
    if right + narrowest - reached >= narrowest:
        gaps.append((reached, right + narrowest))
    return gaps


def _common(first: list[Gap], second: list[Gap], narrowest: float) -> list[Gap]:
    found: list[Gap] = []
    i = j = 0
    while i < len(first) and j < len(second):
        begin, stop = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if stop - begin >= narrowest:
            found.append((begin, stop))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return found


def _column(word: Word, gutters: Sequence[Gap]) -> int:
    return bisect([begin for begin, _ in gutters], (word.left + word.right) / 2)


def _is_list(rows: list[Row], gutters: Sequence[Gap]) -> bool:
    """Gives whether the first of two columns holds but the marks of a list."""
    firsts = [word.text for row in rows for word in row if not _column(word, gutters)]
    return len(gutters) == 1 and all(is_mark(text) for text in firsts)
