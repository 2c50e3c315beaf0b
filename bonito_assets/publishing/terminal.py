"""What the terminal shows of two releases."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bonito_assets import tables
from bonito_assets.publishing.difference import REASONS, Difference

_CHARS = 70
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def show_difference(console: Console, found: Difference) -> None:
    """Prints the two releases, the rows by change and reason, and some of the rows."""
    for side, release in (("old", found.old), ("new", found.new)):
        when = (release["created_at"] or "")[:16].replace("T", " ")
        console.print(f"{side}  {release['version']}  {release['rows']:>9,} rows  {when}")
    if not found.counts:
        console.print("\nNo row came, went or changed.")
        return
    totals = ", ".join(f"{found.total(change):,} {change}" for change in _SIGNS)
    console.print(f"\n{totals}\n")
    counts = Table(show_edge=False)
    for heading in ("", "reason", "task type"):
        counts.add_column(heading)
    counts.add_column("rows", justify="right")
    counts.add_column("that is")
    for entry in found.counts:
        counts.add_row(
            _SIGNS[entry["change"]],
            entry["reason"],
            entry["task_type"],
            f"{entry['rows']:,}",
            meaning(entry["reason"]),
        )
    console.print(counts)
    console.print()
    for row in found.rows:
        line = f"{_SIGNS[row['change']]} {row['generation_id']}  {row['task_type']}  "
        line += escape(f"{_one_line(row['input'])} -> {_one_line(row['output'])}")
        console.print(line, highlight=False, soft_wrap=True)
    shown, total = len(found.rows), sum(entry["rows"] for entry in found.counts)
    if shown < total:
        console.print(f"… {total - shown:,} more (--rows)")


def meaning(reason: str) -> str:
    """Gives the sentence for a reason: its own, or that of the verdict that it ends in."""
    return REASONS.get(reason) or tables.REJECTIONS.get(reason.rpartition(": ")[2], "")


def _one_line(text: str) -> str:
    """Gives the end of an instruction, where the question mostly is, as a terminal may show it."""
    line = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return line if len(line) <= _CHARS else "…" + line[-_CHARS:]
