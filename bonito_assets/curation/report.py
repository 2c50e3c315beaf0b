"""What became of the rows when they were judged beside each other, for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bonito_assets.metadata import markdown_table

Kinds = Mapping[tuple[str, str | None], int]

# From here on nearly everything that a model learns of a task type is its commonest label.
MOST_OF_ONE_LABEL = 0.9
_ACCEPTED_COLOUR = "#2f6f9f"
_REJECTED_COLOUR = "#b04a3f"


def by_task_type(kinds: Kinds) -> dict[str, int]:
    """Gives the rows per task type, by name."""
    counts: dict[str, int] = {}
    for (task_type, _), n in sorted(kinds.items(), key=lambda item: item[0][0]):
        counts[task_type] = counts.get(task_type, 0) + n
    return counts


def distribution(before: Kinds, after: Kinds) -> str:
    """Gives rows and shares per task type and label, `before` the caps and `after` them."""
    totals = by_task_type(before), by_task_type(after)
    rows = []
    for task_type, total in totals[0].items():
        kept = totals[1].get(task_type, 0)
        rows.append(_row(task_type, "", total, sum(totals[0].values()), kept, _sum(totals[1])))
        labels = [(n, label) for (name, label), n in before.items() if name == task_type and label]
        for n, label in sorted(labels, key=lambda entry: (-entry[0], entry[1])):
            rows.append(_row("", label, n, total, after.get((task_type, label), 0), kept))
    return markdown_table(rows)


def _sum(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def _row(
    task_type: str, label: str, before: int, of_before: int, after: int, of_after: int
) -> dict[str, str]:
    return {
        "task type": task_type,
        "label": label,
        "rows before caps": f"{before:,}",
        "share before": f"{before / of_before:.1%}",
        "rows kept": f"{after:,}",
        "share": f"{after / of_after:.1%}" if of_after else "",
    }


def one_sided(kinds: Kinds) -> dict[str, tuple[str, float]]:
    """Gives the task types of which one label has over nine tenths, with label and share.

    Shares are of the rows with a label. A type whose rows have none is never one-sided.
    """
    labelled = {kind: n for kind, n in kinds.items() if kind[1] is not None}
    totals = by_task_type(labelled)
    return {
        task_type: (label, n / totals[task_type])
        for (task_type, label), n in sorted(labelled.items())
        if n > MOST_OF_ONE_LABEL * totals[task_type]
    }


def quantile_table(quantiles: Mapping[str, Sequence[float]]) -> str:
    """Gives least, quarters and greatest of each score as a Markdown table."""
    names = ("least", "first quarter", "median", "third quarter", "greatest")
    return markdown_table(
        [
            {
                "score": score,
                **{n: f"{value:,.4g}" for n, value in zip(names, values, strict=True)},
            }
            for score, values in quantiles.items()
        ]
    )


def funnel(verdicts: Mapping[str, int], reasons: Sequence[str]) -> bytes:
    """Gives as PNG how many rows are left after each of `reasons` has taken its own."""
    from bonito_assets.tuning.plots import axes, png

    left = sum(verdicts.values())
    steps = [("generated", left, 0)]
    read = sum(n for code, n in verdicts.items() if code in ("accepted", *reasons))
    steps.append(("read", read, left - read))
    left = read
    for reason in reasons:
        taken = verdicts.get(reason, 0)
        if taken:
            left -= taken
            steps.append((f"not {reason}", left, taken))
    names, rows, gone = zip(*steps, strict=True)
    figure, drawing = axes("Rows left after each reason")
    figure.set_size_inches(7, max(2.0, 0.8 + 0.32 * len(steps)))
    drawing.barh(names, rows, color=_ACCEPTED_COLOUR, label="left")
    drawing.barh(names, gone, left=rows, color=_REJECTED_COLOUR, label="refused")
    for place, (_, left, taken) in enumerate(steps):
        drawing.annotate(f" {left:,}", (left + taken, place), va="center", fontsize=8)
    drawing.invert_yaxis()
    drawing.margins(x=0.12)
    drawing.tick_params(labelsize=8)
    drawing.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return png(figure)
