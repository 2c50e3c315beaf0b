"""The plots of a release's card: the way from documents to rows, task types, labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bonito_assets.tuning.plots import axes, png

_KEPT_COLOUR = "#2f6f9f"
_REJECTED_COLOUR = "#dfa48c"
# More lines than that cannot be read at the width of a card; the others are put together.
_MOST_LABELS = 6
_NAME_CHARS = 24


def funnel_plot(steps: Sequence[tuple[str, int, int]]) -> bytes:
    """Gives the stages as PNG, each with its rows and the accepted ones of them.

    `steps` are (name, rows, accepted) in the order of the stages. Documents and rows are not of
    one kind, so each bar is as long as its stage has rows of its own.
    """
    names = [f"{name}\n{accepted:,} of {rows:,}" for name, rows, accepted in steps]
    shares = [accepted / rows if rows else 0.0 for _, rows, accepted in steps]
    figure, plot = axes("From documents to rows (share accepted by each stage)")
    figure.set_size_inches(6, 0.8 + 0.45 * len(steps))
    plot.barh(range(len(steps)), [1.0] * len(steps), color=_REJECTED_COLOUR)
    plot.barh(range(len(steps)), shares, color=_KEPT_COLOUR)
    plot.set_yticks(range(len(steps)), names, fontsize=8)
    plot.set_xlim(0, 1)
    plot.invert_yaxis()
    return png(figure)


def task_type_plot(kept: Mapping[str, int], all_rows: Mapping[str, int]) -> bytes:
    """Gives rows kept and rejected by task type as PNG, the task type with most rows first."""
    names = sorted(all_rows, key=lambda name: (-all_rows[name], name))
    rejected = [all_rows[name] - kept.get(name, 0) for name in names]
    accepted = [kept.get(name, 0) for name in names]
    figure, plot = axes("Rows by task type")
    figure.set_size_inches(6, 1.0 + 0.26 * len(names))
    places = range(len(names))
    plot.barh(places, accepted, color=_KEPT_COLOUR, label="kept")
    plot.barh(places, rejected, left=accepted, color=_REJECTED_COLOUR, label="rejected")
    plot.set_yticks(places, [_plain(name) for name in names], fontsize=8)
    plot.invert_yaxis()
    plot.legend(fontsize=8, frameon=False, loc="lower right")
    return png(figure)


def label_plot(labels: Mapping[tuple[str, str], int]) -> bytes:
    """Gives the rows by label within each task type as PNG; `labels` go by (task type, label).

    Of each task type the six commonest labels are shown, the others put together.
    """
    by_type: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (task_type, label), rows in sorted(labels.items(), key=lambda item: (-item[1], item[0])):
        by_type[task_type].append((label, rows))
    lines: list[tuple[str, float]] = []
    for task_type in sorted(by_type):
        found = by_type[task_type]
        total = sum(rows for _, rows in found)
        shown = [(f"{_plain(task_type)}: {_plain(label)}", n) for label, n in found[:_MOST_LABELS]]
        if others := found[_MOST_LABELS:]:
            rest = sum(rows for _, rows in others)
            shown.append((f"{_plain(task_type)}: {len(others):,} others", rest))
        lines += [(name, rows / total) for name, rows in shown]
    figure, plot = axes("Labels (share within the task type)")
    figure.set_size_inches(6, 1.0 + 0.24 * len(lines))
    plot.barh(range(len(lines)), [share for _, share in lines], color=_KEPT_COLOUR)
    plot.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=7)
    plot.set_xlim(0, 1)
    plot.invert_yaxis()
    return png(figure)


def _plain(name: str) -> str:
    """Gives `name` on one short line; `$` would start a formula, and fonts lack what is unseen."""
    line = "".join(char if char.isprintable() else " " for char in name).replace("$", r"\$")
    return line if len(line) <= _NAME_CHARS else f"{line[:_NAME_CHARS]}…"
