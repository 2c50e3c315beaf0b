"""The books of a release: what became of every document, passage and generation, in one account.

    documents -> chunks -> generations -> tasks -> curated_tasks -> published

The last four count the same rows, one per generation, and a reason once given stays. So what was
published can be followed back to what the model was asked, without a row missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from bonito_assets import tables
from bonito_assets.publishing.release import Rows, data_files
from resources.store import Store

BOOKS = "books.json"
PUBLISHED = "published"
ACCEPTED = "accepted"
# Stages with one row per generation: each refuses some and hands all on.
_OF_GENERATIONS = ("generations", "tasks", "curated_tasks")

Books = dict[str, dict[str, Any]]

_DISTINCT = """
    select count(distinct generation_id), count(distinct chunk_id), count(distinct doc_id)
    from read_parquet($1)
"""
_SHARED = """
    select count(*) from (
        select doc_id from read_parquet($1, filename = true)
        group by corpus, doc_id having count(distinct filename) > 1
    )
"""


def stage_books(store: Store, corpus: str) -> Books:
    """Gives rows and verdicts of every table of `corpus`, in the order in which data flows.

    Raises ``TableMissing`` for a stage that has not been made.
    """
    books: Books = {}
    for table in tables.SCHEMAS:
        counts = tables.verdicts(store.read(table, corpus, ["rejected_because"]))
        books[table] = {"rows": sum(counts.values()), "verdicts": counts}
    return books


def published_books(store: Store, folder: Path, rows: Rows) -> dict[str, Any]:
    """Gives the account of a release as its files say it, read anew from `folder`.

    ``ids`` are the different generation ids of all splits and ``shared_documents`` the documents
    that stand in two splits.
    """
    files = data_files(folder)
    paths = [str(path) for path in files.values()]
    counts = {"ids": 0, "chunks": 0, "documents": 0, "shared_documents": 0}
    if paths:
        with store.connect() as connection:
            found = connection.execute(_DISTINCT, [paths]).fetchone()
            shared = connection.execute(_SHARED, [paths]).fetchone()
        counts = dict(zip(counts, [*found, *shared], strict=True))
    return {"rows": rows.total, "splits": rows.splits, **counts}


def problems(books: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Gives where the books do not reconcile, a sentence for each place; none when they do."""
    found = []
    for stage, entry in books.items():
        if stage != PUBLISHED and sum(entry["verdicts"].values()) != entry["rows"]:
            found.append(f"{stage}: the verdicts do not add up to {entry['rows']:,} rows")
    for before, after in pairwise(_OF_GENERATIONS):
        if books[before]["rows"] != books[after]["rows"]:
            found.append(
                f"{books[before]['rows']:,} rows of {before}, {books[after]['rows']:,} of {after}"
            )
        then, now = books[before]["verdicts"], books[after]["verdicts"]
        for code, rows in then.items():
            if code != ACCEPTED and now.get(code, 0) < rows:
                found.append(
                    f"{after}: {code} stands {now.get(code, 0):,} times, {before} {rows:,}"
                )
    accepted = books["curated_tasks"]["verdicts"].get(ACCEPTED, 0)
    published = books[PUBLISHED]
    if published["rows"] != accepted:
        found.append(f"{accepted:,} rows accepted, {published['rows']:,} published")
    if published["ids"] != published["rows"]:
        found.append(f"{published['rows'] - published['ids']:,} published ids stand twice")
    if published["shared_documents"]:
        found.append(f"{published['shared_documents']:,} documents stand in both splits")
    for stage in ("documents", "chunks"):
        usable = books[stage]["verdicts"].get(ACCEPTED, 0)
        if published[stage] > usable:
            found.append(f"{published[stage]:,} {stage} published from, {usable:,} accepted")
    return found
