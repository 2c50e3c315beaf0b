"""The table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bonito_assets.paper import table
from bonito_assets.paper.results import FOLDER, Result
from resources.store import Store


def show(console: Console, store: Store, results: Sequence[Result]) -> None:
    """Prints the table of `results`, its notes, and where it is kept."""
    rows = table.rows(results)
    shown = Table(show_edge=False)
    for heading in rows[0]:
        shown.add_column(heading, justify="left" if heading == "corpus" else "right")
    for row in rows:
        shown.add_row(*map(escape, row.values()))
    console.print()
    console.print(shown)
    console.print()
    for note in table.notes(results):
        console.print(escape(note))
    console.print(f"Table: {store.uri(FOLDER, 'table.md')}")
