"""The `bonito` command: what the Dagster UI does, from a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from bonito_assets.runs import Followed

app = typer.Typer(
    help="Turn text that nobody has labelled into an instruction-tuned, evaluated model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_SHOWN_ROWS = 200

Name = Annotated[str, typer.Argument(help="Name of the corpus: the stem of its catalogue file.")]


def main() -> None:
    """Runs the command; an error that a person can put right ends in one sentence."""
    from dotenv import load_dotenv

    # As dg does; what is set already stays. (`settings` would take a second to import.)
    load_dotenv(Path(__file__).parents[1] / ".env")
    _fix_relative_settings()
    # dg's own usage events are not covered by dagster.yaml.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    app()


def _fix_relative_settings() -> None:
    """Sets relative places against the folder that the command was typed in.

    A run works from the project's folder, where Dagster keeps its history.
    """
    for setting in ("BONITO_DATA", "BONITO_CORPORA", "BONITO_MODEL", "BONITO_BASE_MODEL"):
        place = os.environ.get(setting)
        names_a_folder = setting in ("BONITO_DATA", "BONITO_CORPORA")
        if (
            place
            and "://" not in place
            and (names_a_folder or place[0] in "./~" or Path(place).is_dir())
        ):
            os.environ[setting] = str(Path(place).expanduser().absolute())


@app.command()
def run(
    corpus: Name,
    to: Annotated[str | None, typer.Option(help="Stop after this asset.")] = None,
) -> None:
    """Refresh one corpus: from its documents to the evaluation of the model tuned on them.

    Ends with 0 only if every step and every blocking check passed.
    """
    from bonito_assets import runs, settings, summary
    from resources.store import Store

    with _one_sentence_errors():
        names = runs.asset_names()
        if to is not None and to not in names:
            _fail(f"there is no asset '{to}' to stop after; assets: {', '.join(names)}")
        runs.check_files(runs.catalogue().corpus(corpus))
        runs.check_models()
        started = time.monotonic()
        typer.echo(f"Refreshing corpus '{corpus}' with model {settings.model()}")
        with runs.instance() as opened, _only_ours_on_the_terminal() as terminal:
            runs.register(opened, [corpus])
            followed = runs.run(opened, corpus, to, _reporter(terminal, started))
        _fail_with(followed)
        summary.show_run(Store(root=settings.data_root()), corpus, time.monotonic() - started)


@app.command()
def mix() -> None:
    """Make one dataset of all published corpora: nothing twice, each with its mixture_weight.

    Ends with 0 only if it was published.
    """
    from bonito_assets import runs, settings
    from bonito_assets.publishing.mixture import MIXTURE
    from resources.store import Store

    with _one_sentence_errors():
        started = time.monotonic()
        with runs.instance() as opened, _only_ours_on_the_terminal() as terminal:
            followed = runs.mix(opened, _reporter(terminal, started))
        _fail_with(followed)
        typer.echo(f"Dataset: {Store(root=settings.data_root()).uri(MIXTURE)}")


@app.command()
def register(
    corpora: Annotated[
        list[str] | None, typer.Argument(help="Names of corpora; all of the catalogue without.")
    ] = None,
) -> None:
    """Make corpora known to Dagster as partitions, without running anything."""
    from bonito_assets import runs

    with _one_sentence_errors():
        catalogue = runs.catalogue()
        names = [catalogue.corpus(name).name for name in corpora or catalogue.names()]
        with runs.instance() as opened:
            new = runs.register(opened, names)
        for name in names:
            typer.echo(f"{name}: {'registered' if name in new else 'already registered'}")


@app.command()
def status(
    corpus: Annotated[str | None, typer.Argument(help="Only this corpus.")] = None,
) -> None:
    """Show each corpus and stage: rows, accepted, rejected by reason, last refreshed, stale."""
    from bonito_assets import runs, settings, summary
    from resources.store import Store

    with _one_sentence_errors():
        catalogue = runs.catalogue()
        names = [catalogue.corpus(corpus).name] if corpus else catalogue.names()
        with runs.instance() as opened:
            summary.show_status(opened, Store(root=settings.data_root()), names)


@app.command()
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

    with _one_sentence_errors():
        corpus = catalogue.load(file)
        runs.check_files(corpus)
        store = Store(root=settings.data_root())
        if not summary.show_check(store, corpus, settings.generator(), sample):
            _fail(f"{file}: not one of the documents read can be used")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the tables, in DuckDB's SQL.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per row.")] = False,
) -> None:
    """Query the tables, read only: documents, chunks, generations, tasks, curated_tasks."""
    import duckdb

    from bonito_assets import settings
    from resources.store import Store

    with _one_sentence_errors(), Store(root=settings.data_root()).reader() as connection:
        try:
            statements = connection.extract_statements(query)
            readers = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
            if len(statements) != 1 or statements[0].type not in readers:
                _fail("the tables are read only: give one SELECT")
            if json_lines:
                cursor = connection.execute(query)
                columns = [column[0] for column in cursor.description]
                while batch := cursor.fetchmany(1000):
                    for row in batch:
                        record = dict(zip(columns, row, strict=True))
                        typer.echo(json.dumps(record, default=str, ensure_ascii=False))
            else:
                connection.sql(query).show(max_rows=_SHOWN_ROWS)
        except duckdb.Error as error:
            _fail(str(error))


@app.command()
def diff(
    corpus: Name,
    old: Annotated[str | None, typer.Argument(help="A version, or its first digits.")] = None,
    new: Annotated[str | None, typer.Argument(help="Default: the newest release.")] = None,
    rows: Annotated[int, typer.Option(help="Show at most this many of each change.", min=0)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what came, went and changed between two releases, and why; without OLD the last two.

    Reasons are those of the tables as they are now.
    """
    from rich.console import Console

    from bonito_assets import settings
    from bonito_assets.publishing.difference import difference
    from bonito_assets.publishing.publish import DATASET
    from bonito_assets.publishing.terminal import show_difference
    from resources.store import Store

    with _one_sentence_errors():
        store = Store(root=settings.data_root())
        found = difference(store, DATASET, corpus, old, new, rows)
        if as_json:
            typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
        else:
            # Away from a terminal rows must not be broken at 80 columns.
            show_difference(Console(width=None if sys.stdout.isatty() else 140), found)


@app.command()
def push(corpus: Name) -> None:
    """Put the newest release on the Hugging Face hub, as 'publish.hub' in the catalogue says.

    Needs a token that may write in HF_TOKEN. Nothing else ever sends a release anywhere.
    """
    from bonito_assets import runs, settings
    from bonito_assets.publishing.hub import push_release
    from resources.store import Store

    with _one_sentence_errors():
        settled = runs.catalogue().corpus(corpus)
        typer.echo(push_release(Store(root=settings.data_root()), settled))


def _reporter(terminal: TextIO, started: float) -> Callable[[str, str], None]:
    """Gives what prints a line of a run with the seconds since `started`."""

    def report(step: str, line: str) -> None:
        seconds = time.monotonic() - started
        print(f"{seconds:7.1f} s  {step:<20} {line}", file=terminal, flush=True)

    return report


def _fail_with(followed: Followed) -> None:
    """Ends the command, with the causes, if the run did not go well."""
    if followed.failures or not followed.success:
        for step, cause in followed.failures.items():
            typer.echo(f"\n{step} failed: {cause}", err=True)
        _fail(f"run {followed.run_id} failed; its log is in the UI (make ui)")


@app.command()
def export(
    corpus: Name,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    arm: Annotated[str, typer.Option(help="bonito, or another of tuning.arms.")] = "bonito",
    small: Annotated[
        bool, typer.Option("--small", help="The base's precision, not float32: half the size.")
    ] = False,
) -> None:
    """Save the tuned model of a corpus as a whole model: base and adapter merged, safetensors."""
    from bonito_assets import settings
    from bonito_assets.tuning.arms import published_arm
    from bonito_assets.tuning.base_model import BaseModel
    from bonito_assets.tuning.export import export as export_merged
    from resources.store import Store

    with _one_sentence_errors(), _only_ours_on_the_terminal() as terminal:
        adapter = published_arm(Store(root=settings.data_root()), corpus, arm)
        base = BaseModel(name=settings.base_model()).resolve()
        export_merged(adapter, base, folder, small)
        print(f"wrote {folder}: {base.name} tuned for '{corpus}'", file=terminal)


@app.command()
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

    with _one_sentence_errors():
        folder = (corpora or job.CORPORA).expanduser().absolute()
        os.environ["BONITO_CORPORA"] = str(folder)  # where runs read their catalogue
        chosen = job.selected(runs.catalogue(), only or [])
        started = time.monotonic()
        with runs.instance() as opened, _only_ours_on_the_terminal() as terminal:
            report = _reporter(terminal, started)
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
            _fail(f"{len(outcome.failures)} of {len(chosen)} corpora have no result")


@contextmanager
def _only_ours_on_the_terminal() -> Iterator[TextIO]:
    """Hands out the terminal; what libraries print in any process of the run stays off it.

    Dagster keeps each step's own output, so nothing is lost: the UI shows it under the run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        with os.fdopen(os.dup(saved[0]), "w", encoding="utf-8") as terminal:
            yield terminal
    finally:
        for target, source in zip((1, 2), saved, strict=True):
            os.dup2(source, target)
            os.close(source)
        os.close(silence)


@contextmanager
def _one_sentence_errors() -> Iterator[None]:
    from bonito_assets.runs import KNOWN_ERRORS

    try:
        yield
    except KNOWN_ERRORS as error:
        _fail(str(error))


def _fail(sentence: str) -> None:
    typer.echo(f"bonito: {sentence}", err=True)
    sys.exit(1)
