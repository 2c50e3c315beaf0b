"""Tables: those whose cells are ruled off, and those that only leave gutters free."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import pairwise

from bonito_assets.ingestion.formats.pdf.columns import Gap, split_columns
from bonito_assets.ingestion.formats.pdf.rows import Row, form_rows, row_size, row_text
from bonito_assets.ingestion.formats.pdf.rules import RULE_WIDTH, Rule
from bonito_assets.ingestion.formats.pdf.words import Table, Word, run_to_left


def ruled_tables(words: Sequence[Word], rules: Sequence[Rule]) -> list[tuple[Word, list[Word]]]:
    """Gives each table whose cells are ruled off, as one word, and the words in it.

    It needs two columns and two rows with more than one filled cell, or a row with three, as where
    a table goes on over a page: what is drawn around a chart or a paragraph is no table.
    """
    found: list[tuple[Word, list[Word]]] = []
    for group in _touching(rules):
        upright = [rule for rule in group if _is_upright(rule)]
        xs = _places(rule.left for rule in upright)
        # A rule goes from edge to edge; other level strokes underline a word.
        ys = _places(
            rule.top
            for rule in group
            if not _is_upright(rule) and _is_near(rule.left, xs) and _is_near(rule.right, xs)
        )
        if len(xs) < 3 or len(ys) < 2:
            continue
        inside = [
            word
            for word in words
            if xs[0] < (word.left + word.right) / 2 < xs[-1]
            and ys[0] < word.y - 0.3 * word.size < ys[-1]
        ]
        cells: list[list[list[Word]]] = [[[] for _ in xs[1:]] for _ in ys[1:]]
        for word in inside:
            column = bisect(xs, (word.left + word.right) / 2) - 1
            cells[bisect(ys, word.y - 0.3 * word.size) - 1][column].append(word)
        filled = [sum(map(bool, row)) for row in cells]
        if sum(count > 1 for count in filled) < 2 and max(filled) < 3:
            continue
        if 4 * sum(filled) < sum(map(bool, filled)) * len(xs[1:]):
            # Nearly all cells empty: the lines are those of a drawing.
            continue
        table = _table([row for row in cells if any(row)])
        size = row_size(inside)
        whole = Word("", xs[0], xs[-1], min(word.y for word in inside), size, False, True, table)
        found.append((whole, inside))
    return found


def unruled_table(rows: list[Row], gutters: Sequence[Gap]) -> Table:
    """Gives the cells of a table without rules, row by row.

    Where some rows stand closer together than others, the close ones are lines of one cell.
    """
    pitches = [after[0].y - before[0].y for before, after in pairwise(rows)]
    closest = min(pitches, default=0)
    wrapped = max(pitches, default=0) > 1.5 * closest and closest < 1.4 * row_size(rows[0])
    groups: list[list[Word]] = []
    for row, pitch in zip(rows, [math.inf, *pitches], strict=True):
        if wrapped and pitch < 1.25 * closest:
            groups[-1] += row
        else:
            groups.append(list(row))
    return _table([split_columns([group], gutters) for group in groups])


def _table(rows: Sequence[list[list[Word]]]) -> Table:
    """Gives the text of the cells, in each row that of the cell read first in front.

    That is the right one where most letters of the whole table run to the left; a row by itself may
    hold but a name or a number.
    """
    rtl = run_to_left(word for row in rows for cell in row for word in cell)
    return [[_cell(cell) for cell in (row[::-1] if rtl else row)] for row in rows]


def _cell(words: list[Word]) -> str:
    return "\n".join(row_text(row) for row in form_rows(words))


def _is_upright(rule: Rule) -> bool:
    return rule.bottom - rule.top > rule.right - rule.left


def _touching(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Gives the rules in groups that hang together."""
    groups: list[tuple[Rule, list[Rule]]] = []
    for rule in rules:
        box, members = rule, [rule]
        while near := [group for group in groups if _touch(box, group[0])]:
            groups = [group for group in groups if group not in near]
            members = [*members, *(other for _, others in near for other in others)]
            lefts, tops, rights, bottoms = zip(box, *(other for other, _ in near), strict=True)
            box = Rule(min(lefts), min(tops), max(rights), max(bottoms))
        groups.append((box, members))
    return [members for _, members in groups]


def _touch(first: Rule, second: Rule) -> bool:
    return (
        second.left - RULE_WIDTH <= first.right
        and first.left - RULE_WIDTH <= second.right
        and second.top - RULE_WIDTH <= first.bottom
        and first.top - RULE_WIDTH <= second.bottom
    )


def _is_near(value: float, places: Iterable[float]) -> bool:
    return any(abs(value - place) <= RULE_WIDTH for place in places)


def _places(values: Iterable[float]) -> list[float]:
    """Gives the different values, those that hardly differ as one."""
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > RULE_WIDTH:
            places.append(value)
    return places
