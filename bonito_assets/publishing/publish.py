"""Makes the whole release of a corpus: rows, books, bill, plots, card, manifest, checksums."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bonito_assets.catalogue import Corpus
from bonito_assets.publishing.bill import bill
from bonito_assets.publishing.books import ACCEPTED, BOOKS, PUBLISHED, Books, published_books
from bonito_assets.publishing.card import card
from bonito_assets.publishing.croissant import CROISSANT, croissant
from bonito_assets.publishing.facts import Facts, facts
from bonito_assets.publishing.release import (
    FORGOTTEN,
    RELEASE,
    Rows,
    first_published,
    keep,
    record,
    write_rows,
)
from bonito_assets.publishing.rows import accepted, published
from bonito_assets.publishing.split import border
from resources.checksums import write_sums
from resources.store import Store

DATASET = "instruction_dataset"
REVIEW = "review.html"


@dataclass(frozen=True)
class Published:
    """A release as it was made: its rows, its books and its ``release.json``."""

    rows: Rows
    books: Books
    record: Mapping[str, Any]


def publish(
    store: Store, corpus: Corpus, stages: Books, folder: Path, previous: Path | None
) -> Published:
    """Fills the empty `folder` with a release of `corpus`; `previous` is the published one.

    `stages` are the books of the tables. Whether they reconcile with what was written is for the
    caller to judge, who can still let the folder go.
    """
    from bonito_assets.publishing.review.page import write_review

    rows = write_rows(folder, _sides(store, corpus.name))
    books = {**stages, PUBLISHED: published_books(store, folder, rows)}
    known = facts(store, corpus.name)
    release = release_record(corpus.name, rows, previous)
    release["bill"] = bill(store, corpus.name, rows.total, _bill_before(release, previous))
    images = _write_plots(folder, books, known)
    write_json(folder / BOOKS, books)
    write_json(folder / RELEASE, release)
    write_json(
        folder / CROISSANT,
        croissant(folder, corpus.name, corpus.description, corpus.license, release),
    )
    (folder / "README.md").write_text(
        card(corpus, rows, books, known, release["bill"], images), encoding="utf-8"
    )
    write_review(folder / REVIEW, store, corpus, rows.version, rows.splits)
    write_sums(folder)
    keep(folder, rows.version, previous)
    return Published(rows, books, release)


def release_record(name: str, rows: Rows, previous: Path | None) -> dict[str, Any]:
    """Gives the beginning of ``release.json``: what, when, after which, how many rows.

    A release that rows were forgotten from goes on saying so when it is published again.
    """
    created_at, follows = first_published(rows.version, previous)
    last = record(previous) if previous is not None else {}
    lost = last.get(FORGOTTEN) if last.get("version") == rows.version else None
    return {
        "name": name,
        "version": rows.version,
        "created_at": created_at,
        "follows": follows,
        "splits": rows.splits,
        **({FORGOTTEN: {"rows": lost["rows"], "was": lost["was"]}} if lost else {}),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` for programs and for people who look at it."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sides(store: Store, corpus: str) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Gives the rows to be published, each batch with whether its rows are in validation."""
    line = border(batch["doc_id"] for batch in accepted(store, corpus, ["doc_id"]))
    for batch in published(store, corpus):
        yield batch, line.in_validation(batch["doc_id"])


def _bill_before(release: Mapping[str, Any], previous: Path | None) -> Mapping[str, Any] | None:
    """Gives the bill of the release that this one follows; None where that has none."""
    if release["follows"] is None:
        return None
    return record(previous / "releases" / release["follows"]).get("bill")


def _write_plots(folder: Path, books: Books, known: Facts) -> dict[str, str]:
    """Writes the plots of the card; gives the path of each in the release and what it shows."""
    from bonito_assets.publishing.plots import funnel_plot, label_plot, task_type_plot

    steps = [
        (name, entry["rows"], entry["verdicts"].get(ACCEPTED, 0))
        for name, entry in books.items()
        if name != PUBLISHED
    ]
    labels = {
        key: rows
        for key, rows in known.by("task_type", "label", rejected_because=None).items()
        if key[1] is not None
    }
    kept = known.by("task_type", rejected_because=None)
    plots = {
        "images/funnel.png": (funnel_plot(steps), "rows and accepted rows of each stage"),
        "images/task-types.png": (
            task_type_plot(kept, known.by("task_type")),
            "rows kept and refused by task type",
        ),
    }
    if labels:
        plots["images/labels.png"] = label_plot(labels), "labels of published rows"
    (folder / "images").mkdir()
    for path, (image, _) in plots.items():
        (folder / path).write_bytes(image)
    return {path: caption for path, (_, caption) in plots.items()}
