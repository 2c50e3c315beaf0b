"""Lineage of single rows: `trace`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from bonito_assets.commands.terminal import fail, one_sentence_errors


def trace(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A generation_id, chunk_id, doc_id or request_key, or its first 8 digits.",
        ),
    ],
    every: Annotated[bool, typer.Option("--all", help="List all rows, not the first 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show where a row comes from, or what came of a document or passage.

    Back: instruction and answer, verdicts, prompt, model, parameters and run, the passage in its
    document. Forward: rows with their verdicts, the releases and the tuned models that saw it.
    """
    from rich.console import Console

    from bonito_assets import settings
    from bonito_assets.lineage import trace as tracing
    from bonito_assets.lineage.trace_terminal import show_trace
    from resources.store import Store

    with one_sentence_errors():
        store = Store(root=settings.data_root())
        try:
            found = tracing.trace(store, id_, None if every else tracing.MOST_LISTED)
        except tracing.TraceError as error:
            fail(str(error))
        if as_json:
            # Escaped, since a terminal obeys some characters that JSON allows.
            typer.echo(json.dumps(found.as_json()))
        else:
            # Away from a terminal lines must not be broken at 80 columns.
            show_trace(Console(width=None if sys.stdout.isatty() else 140), found)
