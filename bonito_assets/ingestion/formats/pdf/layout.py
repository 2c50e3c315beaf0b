"""From the rows of a page to its blocks, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bonito_assets.ingestion.formats.pdf.columns import find_zone, is_prose, split_columns
from bonito_assets.ingestion.formats.pdf.rows import Line, Row, form_line, form_rows
from bonito_assets.ingestion.formats.pdf.rules import Rule
from bonito_assets.ingestion.formats.pdf.tables import ruled_tables, unruled_table
from bonito_assets.ingestion.formats.pdf.words import Table, run_to_left

# A page for people has some hundred lines; the search for gutters grows faster than their number.
_MOST_ROWS = 300


@dataclass(slots=True)
class Block:
    """Lines below one another in one column, or a table."""

    lines: list[Line] = field(default_factory=list)
    table: Table | None = None


def lay_out(rows: list[Row], rules: Sequence[Rule]) -> list[Block]:
    """Gives the blocks of a page in reading order."""
    words = [word for row in rows for word in row]
    tables = ruled_tables(words, rules)
    if tables:
        inside = {id(word) for _, members in tables for word in members}
        rest = [word for word in words if id(word) not in inside]
        rows = form_rows([*rest, *(table for table, _ in tables)])
    return _blocks(rows, 0)


def _blocks(rows: list[Row], depth: int) -> list[Block]:
    if not rows:
        return []
    left = min(row[0].left for row in rows)
    right = max(word.right for row in rows for word in row)
    blocks: list[Block] = []
    plain: list[Row] = []
    start = 0
    # A column in a column in a column is the most that is laid out.
    searched = len(rows) <= _MOST_ROWS and depth < 3
    while start < len(rows):
        zone = find_zone(rows, start, left, right) if searched else None
        if zone is None:
            plain.append(rows[start])
            start += 1
            continue
        end, gutters = zone
        blocks += _plain(plain, right)
        plain = []
        zone_rows = rows[start:end]
        if is_prose(zone_rows, gutters):
            columns = split_columns(zone_rows, gutters)
            # Where the page is written to the left, its first column is the right one.
            rtl = run_to_left(word for row in zone_rows for word in row)
            for column in columns[::-1] if rtl else columns:
                blocks += _blocks(form_rows(column), depth + 1)
        else:
            blocks.append(Block(table=unruled_table(zone_rows, gutters)))
        start = end
    return blocks + _plain(plain, right)


def _plain(rows: list[Row], edge: float) -> list[Block]:
    blocks: list[Block] = []
    for row in rows:
        blocks += [Block(table=word.table) for word in row if word.table]
        rest = [word for word in row if not word.table]
        if rest:
            if not blocks or blocks[-1].table:
                blocks.append(Block())
            blocks[-1].lines.append(form_line(rest, edge))
    return blocks
