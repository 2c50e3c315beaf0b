"""Refreshing: `run`, `mix`, `register`, `status`, `check` and the experiment of the `paper`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
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


def run(
    corpus: Name,
    to: Annotated[str | None, typer.Option(help="Stop after this asset.")] = None,
) -> None:
    """Refresh one corpus: from its documents to the evaluation of the model tuned on them.

    Ends with 0 only if every step and every blocking check passed.
    """
    from bonito_assets import runs, settings, summary
    from bonito_assets.automation import inputs
    from resources.store import Store

    with one_sentence_errors():
        names = runs.asset_names()
        if to is not None and to not in names:
            fail(f"there is no asset '{to}' to stop after; assets: {', '.join(names)}")
        wanted = runs.catalogue().corpus(corpus)
        runs.check_files(wanted)
        runs.check_models()
        started = time.monotonic()
        typer.echo(f"Refreshing corpus '{corpus}' with model {settings.model()}")
        with runs.instance() as opened, only_ours_on_the_terminal() as terminal:
            inputs.report(opened, [wanted])
            runs.register(opened, [corpus])
            followed = runs.run(opened, corpus, to, reporter(terminal, started))
        fail_with(followed)
        summary.show_run(Store(root=settings.data_root()), corpus, time.monotonic() - started)


def mix() -> None:
    """Make one dataset of all published corpora: nothing twice, each with its mixture_weight.

    Ends with 0 only if it was published.
    """
    from bonito_assets import runs, settings
    from bonito_assets.publishing.mixture import MIXTURE
    from resources.store import Store

    with one_sentence_errors():
        started = time.monotonic()
        with runs.instance() as opened, only_ours_on_the_terminal() as terminal:
            followed = runs.mix(opened, reporter(terminal, started))
        fail_with(followed)
        typer.echo(f"Dataset: {Store(root=settings.data_root()).uri(MIXTURE)}")


def register(
    corpora: Annotated[
        list[str] | None, typer.Argument(help="Names of corpora; all of the catalogue without.")
    ] = None,
) -> None:
    """Make corpora known to Dagster as partitions, without running anything."""
    from bonito_assets import runs
    from bonito_assets.automation import inputs

    with one_sentence_errors():
        catalogue = runs.catalogue()
        wanted = [catalogue.corpus(name) for name in corpora or catalogue.names()]
        names = [corpus.name for corpus in wanted]
        with runs.instance() as opened:
            inputs.report(opened, wanted)
            new = runs.register(opened, names)
        for name in names:
            typer.echo(f"{name}: {'registered' if name in new else 'already registered'}")


def status(
    corpus: Annotated[str | None, typer.Argument(help="Only this corpus.")] = None,
) -> None:
    """Show each corpus and stage: rows, accepted, rejected by reason, last refreshed, stale."""
    from bonito_assets import runs, settings, summary
    from resources.store import Store

    with one_sentence_errors():
        catalogue = runs.catalogue()
        names = [catalogue.corpus(corpus).name] if corpus else catalogue.names()
        with runs.instance() as opened:
            summary.show_status(opened, Store(root=settings.data_root()), names)


def check(
    file: Annotated[Path, typer.Argument(help="A catalogue file, such as corpora/demo.yaml.")],
    sample: Annotated[int, typer.Option(help="Show at most this many documents.", min=1)] = 20,
) -> None:
    """Validate a catalogue file, read a sample of its source and tell what would happen.

    Formats, first passages, verdicts, number of generations, and the time where the model has run
    here before. Nothing is written or generated.
    """
    from bonito_assets import catalogue, runs, settings, summary
    from resources.store import Store

    with one_sentence_errors():
        corpus = catalogue.load(file)
        runs.check_files(corpus)
        store = Store(root=settings.data_root())
        if not summary.show_check(store, corpus, settings.generator(), sample):
            fail(f"{file}: not one of the documents read can be used")


def paper(
    corpora: Annotated[
        Path | None, typer.Option(help="Folder of catalogue files; the paper's seven without.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this corpus; repeatable.")] = None,
    fetch: Annotated[bool, typer.Option(help="Only fetch the test sets from the hub.")] = False,
    again: Annotated[bool, typer.Option(help="Measure anew what was measured before.")] = False,
) -> None:
    """Repeat the paper's experiment: no tuning, TAPT and Bonito on its target sets, in one table.

    With the 7B models it takes a GPU and days. A job that was stopped goes on where it was.
    """
    from rich.console import Console

    from bonito_assets import runs, settings
    from bonito_assets.paper import job
    from bonito_assets.paper.terminal import show
    from resources.store import Store

    with one_sentence_errors():
        folder = (corpora or job.CORPORA).expanduser().absolute()
        os.environ["BONITO_CORPORA"] = str(folder)  # where runs read their catalogue
        chosen = job.selected(runs.catalogue(), only or [])
        started = time.monotonic()
        with runs.instance() as opened, only_ours_on_the_terminal() as terminal:
            report = reporter(terminal, started)
            job.fetch_missing(chosen, report)
            if fetch:
                return
            for corpus in chosen:
                runs.check_files(corpus)
            runs.check_models()
            store = Store(root=settings.data_root())
            outcome = job.measure(opened, store, chosen, report, again)
        if outcome.results:
            # Away from a terminal rows must not be broken at 80 columns.
            console = Console(width=None if sys.stdout.isatty() else 160)
            show(console, store, outcome.results)
        for name, cause in outcome.failures.items():
            typer.echo(f"\n{name} failed: {cause}", err=True)
        if outcome.failures:
            fail(f"{len(outcome.failures)} of {len(chosen)} corpora have no result")
