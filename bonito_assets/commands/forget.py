"""Forgetting: `forget`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from bonito_assets.commands.terminal import (
    Name,
    fail,
    fail_with,
    one_sentence_errors,
    only_ours_on_the_terminal,
    reporter,
)


def forget(
    corpus: Name,
    doc_ids: Annotated[list[str], typer.Argument(help="Ids of documents, or their first digits.")],
    reason: Annotated[
        str, typer.Option(help="Why, for the record. Name nothing that is to be forgotten.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Let forgotten documents in again at the next refresh.")
    ] = False,
) -> None:
    """Forget documents and all that came from them: rows, outputs, releases, logs, samples.

    Shows first what will go. Models that learned from them are marked as stale. The documents stay
    out at every refresh, and so do copies of them. Ends with 0 only if a search of every file finds
    nothing of them.
    """
    from bonito_assets import runs, settings
    from bonito_assets.lineage.forget.foresight import foresee
    from bonito_assets.lineage.forget.run import take_back
    from bonito_assets.lineage.forget.subject import ForgetError
    from resources.store import Store

    with one_sentence_errors():
        store = Store(root=settings.data_root())
        try:
            if undo:
                # A run that forgets writes the same list, and a refresh has read it.
                with runs.instance() as opened:
                    runs.clear_dead_runs(opened)
                    runs.refuse_second_run(opened, corpus)
                taken_back = take_back(store, corpus, doc_ids)
                typer.echo(f"{len(taken_back):,} documents come in again: bonito run {corpus}")
                return
            foreseen = foresee(store, corpus, doc_ids)
        except ForgetError as error:
            fail(str(error))
        typer.echo("\n".join(foreseen.lines()))
        if not yes:
            if not sys.stdin.isatty():
                fail("nothing was forgotten: without a terminal to ask on, say --yes")
            typer.confirm("Forget all of this? It cannot be had back", abort=True)
        started = time.monotonic()
        with runs.instance() as opened, only_ours_on_the_terminal() as terminal:
            followed = runs.forget(opened, corpus, doc_ids, reason, reporter(terminal, started))
        fail_with(followed)
