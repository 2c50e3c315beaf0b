"""Counts over a whole corpus, and the drawings made of them: SVG that is part of the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from bonito_assets.publishing.review.markup import text

_STAGES = {
    "documents": "documents",
    "chunks": "passages",
    "generations": "generations",
    "tasks": "tasks",
    "curated_tasks": "curated tasks",
}
_LABELS = """
    select task_type, label, count(*) filter (rejected_because is null), count(*)
    from curated_tasks where corpus = $corpus and label is not null group by all
"""
_LENGTHS = """
    select floor(log2(output_chars)), rejected_because is null, count(*)
    from curated_tasks where corpus = $corpus and output_chars > 0 group by all
"""
# Hundredths of a nat are finer than any bar that is drawn of them.
_LOGPROBS = """
    select cast(round(100 * mean_logprob) as bigint), rejected_because is null, count(*)
    from curated_tasks where corpus = $corpus and isfinite(mean_logprob) group by all
"""
_MOST_BARS = 24
# The lowest of a hundred is drawn with the bar at the left end, or one outlier would take the room.
_BELOW = 0.01
_WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


# Kept and rejected rows by a whole number.
Counts = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: what it stands for, and the rows kept and rejected."""

    name: str
    kept: int
    rejected: int


def funnel(connection: duckdb.DuckDBPyConnection, corpus: str) -> list[tuple[str, int, int]]:
    """Gives per stage its name, its rows and the accepted ones, in the order of the stages."""
    steps = []
    for table, name in _STAGES.items():
        counts = connection.execute(
            f'select count(*), count(*) filter (rejected_because is null) from "{table}" '  # noqa: S608
            "where corpus = $corpus",
            {"corpus": corpus},
        ).fetchone()
        steps.append((name, *counts))
    return steps


def models(connection: duckdb.DuckDBPyConnection, corpus: str) -> list[str]:
    """Gives the names of the models that wrote the generations."""
    query = "select distinct model from generations where corpus = $corpus and model is not null"
    return sorted(row[0] for row in connection.execute(query, {"corpus": corpus}).fetchall())


def labels(
    connection: duckdb.DuckDBPyConnection, corpus: str
) -> dict[str, list[tuple[str, int, int]]]:
    """Gives per task type its labels with kept rows and all rows, the commonest first."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for task_type, label, kept, rows in connection.execute(_LABELS, {"corpus": corpus}).fetchall():
        found.setdefault(task_type, []).append((label, kept, rows))
    return {
        task_type: sorted(found[task_type], key=lambda entry: (-entry[1], -entry[2], entry[0]))
        for task_type in sorted(found)
    }


def lengths(connection: duckdb.DuckDBPyConnection, corpus: str) -> Counts:
    """Gives kept and rejected rows by the power of two that their answer's length reaches."""
    return _counted(connection, _LENGTHS, corpus)


def logprobs(connection: duckdb.DuckDBPyConnection, corpus: str) -> Counts:
    """Gives kept and rejected rows by mean log-probability, in hundredths of a nat."""
    return _counted(connection, _LOGPROBS, corpus)


def _counted(connection: duckdb.DuckDBPyConnection, query: str, corpus: str) -> Counts:
    kept: Counter[int] = Counter()
    rejected: Counter[int] = Counter()
    for value, accepted, n in connection.execute(query, {"corpus": corpus}).fetchall():
        (kept if accepted else rejected)[int(value)] += n
    return {value: (kept[value], rejected[value]) for value in kept.keys() | rejected.keys()}


def length_bars(counts: Counts) -> list[Bar]:
    """Gives a bar for each power of two to the next, in characters."""
    return [
        Bar(f"{2**place:,} to {2 ** (place + 1) - 1:,}" if place else "1", kept, rejected)
        for place, kept, rejected in _without_gaps(counts)
    ]


def logprob_bars(counts: Counts) -> list[Bar]:
    """Gives bars of equal width, in nats per token; what is far below stands in the first."""
    total = sum(kept + rejected for kept, rejected in counts.values())
    low, below = 0, 0
    for value in sorted(counts):
        low = value
        below += sum(counts[value])
        if below > _BELOW * total:
            break
    high = max(counts, default=0)
    width = next((w for w in _WIDTHS if (high - low) / w < _MOST_BARS), _WIDTHS[-1])
    bars: dict[int, tuple[int, int]] = {}
    for value, (kept, rejected) in counts.items():
        place = max(value, low) // width
        before = bars.get(place, (0, 0))
        bars[place] = before[0] + kept, before[1] + rejected
    return [
        Bar(f"{place * width / 100:.2f} to {(place + 1) * width / 100:.2f}", kept, rejected)
        for place, kept, rejected in _without_gaps(bars)
    ]


def _without_gaps(counts: Counts) -> list[tuple[int, int, int]]:
    if not counts:
        return []
    return [(v, *counts.get(v, (0, 0))) for v in range(min(counts), max(counts) + 1)]


def bar(kept: int, rows: int, most: int) -> str:
    """Gives a bar as SVG: `rows` in a light colour, `kept` of them in a full one, `most` wide."""
    whole = 100 * rows / most if most else 0.0
    full = 100 * kept / most if most else 0.0
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rejected" width="{whole:.2f}" height="10"/>'
        f'<rect class="kept" width="{full:.2f}" height="10"/></svg>'
    )


def histogram(title: str, bars: Sequence[Bar]) -> str:
    """Gives `bars` as an SVG drawing, kept rows at the bottom, with the counts as tooltips."""
    if not bars:
        return ""
    width, height, foot, head = 640.0, 190.0, 24.0, 16.0
    most = max(one.kept + one.rejected for one in bars)
    step = width / len(bars)
    parts = [
        f'<svg class="histogram" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{text(title)}">',
        f'<text x="0" y="11">{most:,} rows</text>',
    ]
    for place, one in enumerate(bars):
        x, base = place * step + 1, height - foot
        parts.append(f"<g><title>{text(one.name)}: {one.kept:,} kept, {one.rejected:,} rejected")
        parts.append("</title>")
        for rows, kind in ((one.kept, "kept"), (one.rejected, "rejected")):
            tall = (height - foot - head) * rows / most
            base -= tall
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{base:.1f}" width="{max(step - 2, 1):.1f}" '
                f'height="{tall:.1f}"/>'
            )
        parts.append("</g>")
    parts.append(f'<line x1="0" x2="{width:.0f}" y1="{height - foot}" y2="{height - foot}"/>')
    # As many names as there is room for: about 90 units each.
    every = math.ceil(len(bars) * 90 / width)
    for place in range(0, len(bars), every):
        name = text(bars[place].name.split(" to ")[0])
        parts.append(f'<text x="{place * step + 1:.1f}" y="{height - 8}">{name}</text>')
    return "".join([*parts, "</svg>"])
