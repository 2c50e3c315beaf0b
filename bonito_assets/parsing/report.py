"""What became of the outputs: reasons by task type, with an example of each, and a plot."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.metadata import markdown_table

# The plot names the commonest reasons and puts the others together.
_REASONS_SHOWN = 7
_ACCEPTED_COLOUR = "#2f6f9f"
_OTHER_COLOUR = "#d5d9de"


class Verdicts:
    """Counts of verdicts per task type, and the first output that got each of them.

    Only rows whose output was there to be read are counted: what was never generated says nothing
    of a task type.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str | None]] = Counter()
        self.examples: dict[tuple[str, str | None], str] = {}
        self.labels: Counter[tuple[str, str]] = Counter()

    def enter(self, made: pa.RecordBatch, read: pa.RecordBatch) -> None:
        """Takes a batch of `generations` and the batch of `tasks` that was read from it."""
        rows = pa.table(
            {
                "task_type": read["task_type"],
                "verdict": read["rejected_because"],
                "label": read["label"],
                "row": pa.array(range(read.num_rows), pa.int64()),
            }
        ).filter(pc.is_null(made["rejected_because"]))
        grouped = rows.group_by(["task_type", "verdict"]).aggregate(
            [("row", "count"), ("row", "min")]
        )
        for group in grouped.to_pylist():
            key = group["task_type"], group["verdict"]
            self.counts[key] += group["row_count"]
            if key not in self.examples:
                self.examples[key] = made["output"][group["row_min"]].as_py()
        kept = rows.filter(pc.field("verdict").is_null() & pc.field("label").is_valid())
        for group in (
            kept.group_by(["task_type", "label"]).aggregate([("row", "count")]).to_pylist()
        ):
            self.labels[group["task_type"], group["label"]] += group["row_count"]

    @property
    def task_types(self) -> list[str]:
        """Gives the task types that were read, by name."""
        return sorted({task_type for task_type, _ in self.counts})

    def outputs(self, task_type: str) -> int:
        """Gives the number of outputs of a task type that were read."""
        return sum(n for (name, _), n in self.counts.items() if name == task_type)

    def kept_rate(self, task_type: str) -> float:
        """Gives the share of the outputs of a task type that were accepted, 0 to 1."""
        return self.counts[task_type, None] / self.outputs(task_type)

    def under_half(self) -> dict[str, float]:
        """Gives the task types of which less than half is kept, with their kept rates."""
        rates = {task_type: self.kept_rate(task_type) for task_type in self.task_types}
        return {task_type: rate for task_type, rate in rates.items() if rate < 0.5}

    def markdown(self) -> str:
        """Gives the table of reasons by task type, each with its count, share and an example."""
        rows = []
        for task_type in self.task_types:
            total = self.outputs(task_type)
            found = [
                (n, verdict) for (name, verdict), n in self.counts.items() if name == task_type
            ]
            for n, verdict in sorted(found, key=lambda entry: (entry[1] is not None, -entry[0])):
                rows.append(
                    {
                        "task type": task_type,
                        "verdict": verdict or "accepted",
                        "rows": f"{n:,}",
                        "share": f"{n / total:.1%}",
                        "example": self.examples[task_type, verdict],
                    }
                )
        return markdown_table(rows)

    def labels_markdown(self) -> str:
        """Gives the labels of the accepted rows per task type, with their shares."""
        rows = []
        for task_type in self.task_types:
            found = [(n, label) for (name, label), n in self.labels.items() if name == task_type]
            total = sum(n for n, _ in found)
            for n, label in sorted(found, reverse=True):
                rows.append(
                    {
                        "task type": task_type,
                        "label": label,
                        "rows": f"{n:,}",
                        "share": f"{n / total:.1%}",
                    }
                )
        return markdown_table(rows)

    def plot(self) -> bytes:
        """Gives accepted and rejected shares per task type, stacked, as PNG."""
        from bonito_assets.tuning.plots import axes, png

        reasons = Counter()
        for (_, verdict), n in self.counts.items():
            if verdict is not None:
                reasons[verdict] += n
        shown = [verdict for verdict, _ in reasons.most_common(_REASONS_SHOWN)]
        figure, drawing = axes("What became of the outputs (share per task type)")
        figure.set_size_inches(7, max(2.0, 0.8 + 0.28 * len(self.task_types)))
        left = [0.0] * len(self.task_types)
        colours = [_ACCEPTED_COLOUR, *_colours(len(shown)), _OTHER_COLOUR]
        for verdict, colour in zip([None, *shown, "other"], colours, strict=True):
            shares = [self._share(task_type, verdict, shown) for task_type in self.task_types]
            if any(shares):
                drawing.barh(
                    self.task_types, shares, left=left, color=colour, label=verdict or "accepted"
                )
            left = [start + share for start, share in zip(left, shares, strict=True)]
        drawing.set_xlim(0, 1)
        drawing.invert_yaxis()
        drawing.tick_params(labelsize=8)
        drawing.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        return png(figure)

    def _share(self, task_type: str, verdict: str | None, shown: list[str]) -> float:
        total = self.outputs(task_type)
        if verdict != "other":
            return self.counts[task_type, verdict] / total
        named = sum(self.counts[task_type, name] for name in [None, *shown])
        return (total - named) / total


def _colours(count: int) -> list[str]:
    """Gives `count` colours that can be told apart on white."""
    palette = ["#b04a3f", "#d98e3f", "#c9b458", "#7a9e5a", "#5fa8a0", "#8a6fa8", "#a87f6f"]
    return palette[:count]
