"""What the terminal shows of a corpus: the books, the scores, where the files are."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import dagster as dg
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bonito_assets import tables
from bonito_assets.automation.staleness import Staleness
from bonito_assets.catalogue import Corpus
from bonito_assets.lineage.forget.models import stale_because
from bonito_assets.preview import Preview, cut, forecast, look
from resources.generator import Generator
from resources.model import ModelError
from resources.store import Store

# Away from a terminal (a log, a pipe) rows must not be broken at 80 columns.
_console = Console(width=None if sys.stdout.isatty() else 140)
_SAMPLE_CHARS = 70
_SHOWN_PASSAGES = 3
_SHOWN_FORMATS = 12


def show_run(store: Store, corpus: str, seconds: float) -> None:
    """Prints the closing table of a refresh: rows, verdicts, scores, places, what to do next."""
    table = _table(f"corpus {corpus}, refreshed in {seconds:,.0f} s", "stage", "rows", "accepted")
    table.add_column("rejected because")
    for stage in tables.SCHEMAS:
        if not store.exists(stage, corpus):
            continue
        counts = tables.verdicts(store.read(stage, corpus, columns=["rejected_because"]))
        table.add_row(stage, *_books(counts))
    release = store.published("instruction_dataset", corpus)
    if release is not None:
        manifest = json.loads((release / "release.json").read_text(encoding="utf-8"))
        published = sum(manifest["splits"].values())
        splits = ", ".join(f"{split} {rows:,}" for split, rows in manifest["splits"].items())
        table.add_row("instruction_dataset", f"{published:,}", f"{published:,}", splits)
    _console.print(table)
    scores = _scores(store, corpus)
    if scores is not None:
        _console.print(scores)
    tables_at = store.uri("warehouse.duckdb") if store.is_local else store.root
    _console.print(f"Tables:     {tables_at}")
    for label, name in (
        ("Dataset:", "instruction_dataset"),
        ("Adapter:", "tuned_model"),
        ("Report:", "evaluation"),
    ):
        if store.is_published(name, corpus):
            _console.print(f"{label:<11} {store.uri(name, corpus)}")
    _console.print("\nNext: make ui (graph, samples and history in the browser)")
    _console.print(f"      bonito status {corpus}")
    _console.print(
        '      bonito sql "select task_type, rejected_because, count(*) n from curated_tasks '
        'group by all"'
    )


def _scores(store: Store, corpus: str) -> Table | None:
    folder = store.published("evaluation", corpus)
    if folder is None:
        return None
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not report["arms"]:
        return None
    names = ["macro_f1", "accuracy"] if report["metric"] == "choice_f1" else ["f1", "exact_match"]
    table = _table(f"{report['metric']} on {report['n']:,} test questions", "model", *names)
    for arm, scores in report["arms"].items():
        table.add_row(arm, *(f"{scores[name]:.3f}" for name in names))
    return table


def show_status(opened: dg.DagsterInstance, store: Store, names: Iterable[str]) -> None:
    """Prints, per corpus and stage, rows in and out, reasons, last refresh, and staleness."""
    from bonito_assets.definitions import defs

    stale = Staleness(opened, defs().resolve_asset_graph())
    table = _table("", "corpus", "stage", "rows in", "accepted")
    for heading in ("rejected because", "last refreshed", "state"):
        table.add_column(heading)
    for corpus in names:
        for stage in [*tables.SCHEMAS, "instruction_dataset", "tuned_model", "evaluation"]:
            rows = accepted = reasons = ""
            if stage in tables.SCHEMAS and store.exists(stage, corpus):
                verdicts = store.read(stage, corpus, columns=["rejected_because"])
                rows, accepted, reasons = _books(tables.verdicts(verdicts))
            refreshed, state = _refreshed(opened, stage, corpus), "missing"
            if refreshed:
                reason = stale.reason(dg.AssetKey(stage), corpus)
                if stage == "tuned_model":
                    reason = stale_because(store, stage, corpus) or reason
                state = f"stale: {reason}" if reason else "fresh"
            table.add_row(corpus, stage, rows, accepted, reasons, refreshed, state)
        table.add_section()
    _console.print(table)


def _refreshed(opened: dg.DagsterInstance, stage: str, corpus: str) -> str:
    """Gives the time of the last refresh of `stage`; empty where there was none."""
    records = opened.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage), asset_partitions=[corpus]), limit=1
    ).records
    if not records:
        return ""
    return datetime.fromtimestamp(records[0].timestamp).astimezone().strftime("%Y-%m-%d %H:%M")


def show_check(store: Store, corpus: Corpus, generator: Generator, shown: int) -> int:
    """Prints what a refresh of `corpus` would make of its source; gives how many can be used."""
    preview = look(corpus)
    try:
        passages = cut(corpus, preview, generator)
    except ModelError as error:
        passages, problem = None, str(error)
    _show_source(corpus, preview)
    _show_documents(preview, passages, shown)
    verdicts = tables.verdicts(preview.documents)
    _console.print(f"\nDocuments: {_in_words(verdicts)}")
    if passages is None:
        _console.print(f"No passages and no estimate without the model's tokenizer: {problem}")
        return verdicts.get("accepted", 0)
    _console.print(f"Passages:  {_in_words(tables.verdicts(passages))}")
    accepted = passages.filter(passages["rejected_because"].is_null())
    for row in accepted.slice(0, _SHOWN_PASSAGES).to_pylist():
        path = _one_line(" › ".join(row["heading_path"] or []), 2 * _SAMPLE_CHARS)
        head = f"{' and '.join(row['units'])}, {row['n_tokens']} tokens"
        _console.print(f"\n  {head}{', ' + path if path else ''}:", markup=False)
        _console.print(f"  {_one_line(row['text'], 3 * _SAMPLE_CHARS)}", markup=False)
    foreseen = forecast(store, corpus, preview, passages, generator)
    _console.print(f"\nTask types: {', '.join(corpus.task_types)}; {foreseen.sentence()}")
    if preview.share < 1:
        part = f"{preview.share:.1%} of the source" if preview.share else "the first rows alone"
        _console.print(f"Judged by a sample: {part}.")
    return verdicts.get("accepted", 0)


def _show_source(corpus: Corpus, preview: Preview) -> None:
    if preview.formats is None:
        _console.print(f"\ncorpus {corpus.name}: rows of a dataset")
        return
    counts = preview.formats.most_common(_SHOWN_FORMATS)
    formats = escape(", ".join(f"{_one_line(name, 20)} {n:,}" for name, n in counts))
    hidden = f"; {preview.hidden:,} hidden files are passed by" if preview.hidden else ""
    _console.print(
        f"\ncorpus {corpus.name}: {preview.files:,} files, {preview.bytes / 1e6:,.1f} MB "
        f"({formats}){hidden}"
    )


def _show_documents(preview: Preview, passages: pa.Table | None, shown: int) -> None:
    counts: Counter[str] = Counter()
    if passages is not None:
        accepted = passages.filter(passages["rejected_because"].is_null())
        counts.update(accepted["doc_id"].to_pylist())
    rows = preview.documents.slice(0, shown).to_pylist()
    table = _table(f"the first {len(rows):,} documents", "document")
    for heading in ("characters", "passages"):
        table.add_column(heading, justify="right")
    table.add_column("begins with, or cannot be used because")
    for row in rows:
        if row["rejected_because"] is None:
            count, note = f"{counts[row['doc_id']]:,}", _one_line(row["text"], _SAMPLE_CHARS)
        else:
            count, note = "", f"{row['rejected_because']}: {row['error']}"
        uri, note = _one_line(row["uri"], 3 * _SAMPLE_CHARS), _one_line(note, 5 * _SAMPLE_CHARS)
        table.add_row(escape(uri), f"{row['n_chars'] or 0:,}", count, escape(note))
    _console.print(table)


def _one_line(text: str, chars: int) -> str:
    """Gives the beginning of `text` as a terminal may show it: without control characters."""
    line = " ".join(text[: 4 * chars].split())
    return "".join(char for char in line if char.isprintable())[:chars]


def _in_words(counts: dict[str, int]) -> str:
    accepted = counts.get("accepted", 0)
    reasons = [f"{code} {n:,}" for code, n in counts.items() if code != "accepted"]
    return ", ".join([f"{accepted:,} usable", *reasons])


def _books(counts: dict[str, int]) -> tuple[str, str, str]:
    accepted = counts.get("accepted", 0)
    reasons = ", ".join(f"{code} {n:,}" for code, n in counts.items() if code != "accepted")
    return f"{sum(counts.values()):,}", f"{accepted:,}", reasons


def _table(title: str, first: str, *numbers: str) -> Table:
    if title:
        _console.print(f"\n{title}\n")
    table = Table(show_edge=False)
    table.add_column(first)
    for heading in numbers:
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    return table
