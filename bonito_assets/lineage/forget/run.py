"""Forgets documents of a corpus, step by step; one who is killed anywhere can begin again.

First a tombstone keeps the document out, so that no refresh takes it in again. Then the models that
learned from it are marked, and it goes from releases, cache, tables, and Dagster's memory. What
depends on several documents together, curation and publication, runs again as in a refresh. In the
end every byte is searched. No model, no GPU and no source is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from fsspec.core import url_to_fs

from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus
from bonito_assets.curation import refresh as curation
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.semantic import MissingLibraryError, MissingModelError
from bonito_assets.curation.side_tables import FAMILIES, FEATURES, OVERLAPS, PASSAGES
from bonito_assets.evaluation.test_set import TestSetError
from bonito_assets.ingestion.documents import FILES, read_again
from bonito_assets.lineage.forget import audit, cut, models, releases
from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.foresight import foresee
from bonito_assets.lineage.forget.history import History, Scrubbed, materialization
from bonito_assets.lineage.forget.search import Searched, search
from bonito_assets.lineage.forget.subject import (
    ForgetError,
    Subject,
    said_by,
    says_one_of,
    subject,
)
from bonito_assets.lineage.tombstones import Tombstones, UnderWay
from bonito_assets.publishing import mixture
from bonito_assets.publishing.books import ACCEPTED, stage_books
from bonito_assets.publishing.mixture import MIXTURE, MixtureError
from bonito_assets.publishing.mixture_release import publish_mixture
from bonito_assets.publishing.publish import DATASET, publish
from bonito_assets.publishing.release import record
from resources.engine_log import log_folder
from resources.generation_cache import GenerationCache
from resources.store import Store, TableMissing

Log = Callable[[str], None]
Report = Callable[[dg.AssetMaterialization | dg.AssetObservation], None]

# The tables that a materialization is reported of, in the order in which data flows.
_TABLES = ("documents", "chunks", "generations", "tasks", "round_trips", "curated_tasks")
_SIDE_TABLES = (FEATURES, PASSAGES, OVERLAPS, FAMILIES)
# Of a document so many fingerprints are kept until the end: enough to find any part of it that is
# longer than a thousandth.
_KEPT_PER_DOCUMENT = 1000
# What people have copied is beyond reach.
_BEYOND_REACH = ("releases that were pushed to a hub", "backups", "exports", "the source itself")


@dataclass
class Outcome:
    """What was forgotten and where from; counts, ids and places only."""

    doc_ids: list[str]
    copies: list[str]
    rows: dict[str, int] = field(default_factory=dict)
    cached_outputs: int = 0
    damaged_segments: int = 0
    releases: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    models: dict[str, list[str]] = field(default_factory=dict)
    events: int = 0
    logs: int = 0
    files_searched: int = 0
    bytes_searched: int = 0
    left_for_the_next_refresh: str | None = None
    beyond_reach: list[str] = field(default_factory=lambda: list(_BEYOND_REACH))

    def sentence(self) -> str:
        """Gives it for people."""
        rows = ", ".join(f"{table} {n:,}" for table, n in self.rows.items() if n)
        cut_ = sum(one["rows"] for done in self.releases.values() for one in done)
        parts = [
            f"forgotten documents: {len(self.doc_ids) + len(self.copies):,}",
            f"rows: {rows or 'none'}",
            f"cached outputs: {self.cached_outputs:,}",
            f"published rows, in all releases: {cut_:,}",
            f"events of Dagster: {self.events:,}, step logs: {self.logs:,}",
        ]
        if self.damaged_segments:
            parts.append(f"damaged segments of the cache deleted: {self.damaged_segments:,}")
        if self.models:
            parts.append(f"to be tuned again: {', '.join(self.models)}")
        if self.left_for_the_next_refresh:
            parts.append(self.left_for_the_next_refresh)
        parts.append(
            f"{self.files_searched:,} files ({self.bytes_searched / 1e6:,.1f} MB) searched, "
            "nothing found"
        )
        parts.append(f"out of reach: {', '.join(self.beyond_reach)}")
        return "; ".join(parts)


def forget(
    store: Store,
    catalogue: Catalogue,
    corpus: str,
    ids: Sequence[str],
    reason: str,
    history: History,
    instance: dg.DagsterInstance,
    run_id: str,
    report: Report,
    log: Log,
) -> Outcome:
    """Forgets the documents that `ids` name, their exact copies, and what a killed run left.

    `report` gets the events by which Dagster learns of it. Raises ``ForgetError`` for an id that
    names no document, before anything is done, and where something of it is found in the end.
    """
    found = subject(store, corpus, ids, reason, run_id)
    _note(store, corpus, reason, run_id, {"begun": foresee(store, corpus, ids).counts()})
    outcome = Outcome(list(found.named), list(found.copies))
    texts, words = _begin(store, corpus, found, reason)
    forgotten = Tombstones.read(store, corpus)
    log(f"{len(found.doc_ids):,} documents are kept out from now on; what came of them goes")
    outcome.models = _mark_models(store, corpus, forgotten, report)
    doc_ids = forgotten.doc_ids
    _cut_releases(store, corpus, doc_ids, outcome)
    keys = _cut_cache(store, corpus, doc_ids, texts, words, outcome)
    outcome.rows = cut.cut(store, corpus, forgotten)
    _sweep(store, corpus, others_at_work=_others_at_work(instance, run_id))
    _judge_and_publish(store, catalogue, corpus, doc_ids, outcome, log)
    log("tables, cache and releases are done; now what Dagster remembers")
    scrubbed = _scrub(history, corpus, texts)
    outcome.events, outcome.logs = scrubbed.events, scrubbed.logs
    outcome.beyond_reach += scrubbed.unreachable
    _drop_what_says_it(store, corpus, texts)
    _tell_dagster(store, instance, corpus, report)
    # Another corpus's run may have merged segments that held them when it read them.
    GenerationCache(store).forget(keys)
    folders = [store.root, *history.folders()]
    if not store.is_local:
        folders.append(str(log_folder(store.root)))
    searched = search(folders, texts)
    _refuse_leftovers(searched)
    outcome.files_searched, outcome.bytes_searched = searched.files, searched.bytes
    _note(store, corpus, reason, run_id, {"done": asdict(outcome)})
    forgotten.finished().write(store, corpus)
    return outcome


def take_back(store: Store, corpus: str, ids: Sequence[str]) -> list[str]:
    """Lets forgotten documents in again at the next refresh, with their copies; gives their ids.

    A copy that is still forgotten would keep them out. Raises ``ForgetError`` for an id that names
    none of them.
    """
    forgotten = Tombstones.read(store, corpus)
    named = []
    for given in ids:
        candidates = [d for d in sorted(forgotten.doc_ids) if d.startswith(given)]
        if not given or len(candidates) != 1:
            raise ForgetError(
                f"'{given}' names {len(candidates):,} of the {len(forgotten.doc_ids):,} forgotten "
                f"documents of corpus '{corpus}', and not one; nothing was changed"
            )
        named += candidates
    taken_back = sorted(forgotten.with_copies(named))
    if store.exists(FILES, corpus):
        # Their files have not changed since, so they would not be looked at.
        documents = store.read("documents", corpus, ["doc_id"])["doc_id"].to_pylist()
        ledger = store.read(FILES, corpus)
        entries = ledger.to_pylist()
        read_again(entries, [n for n, d in enumerate(documents) if d in set(taken_back)])
        made_from = store.stamps(FILES, corpus).get("made_from")
        batches = type(ledger).from_pylist(entries, schema=ledger.schema).to_batches()
        store.write_batches(FILES, corpus, ledger.schema, batches, made_from=made_from)
    forgotten.without(taken_back).write(store, corpus)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"at": now, "who": audit.who(), "corpus": corpus, "taken_back": taken_back}
    audit.append(store, entry)
    return taken_back


def _begin(store: Store, corpus: str, found: Subject, reason: str) -> tuple[Fingerprints, set[str]]:
    """Keeps the documents out from now on; gives their fingerprints, and words of theirs alone.

    What a killed run had begun is taken up: of its documents the text may be gone already.
    """
    before = Tombstones.read(store, corpus)
    doc_ids, known = set(found.doc_ids), Fingerprints.from_hex([])
    if before.under_way is not None:
        doc_ids |= set(before.under_way.doc_ids)
        known = Fingerprints.from_hex(before.under_way.fingerprints)
    texts, words = said_by(store, corpus, doc_ids, known)
    kept = texts.as_hex(_KEPT_PER_DOCUMENT * len(doc_ids))
    under_way = UnderWay(sorted(doc_ids), reason, kept)
    before.with_stones(found.stones, under_way).write(store, corpus)
    return texts, words


def _mark_models(
    store: Store, corpus: str, forgotten: Tombstones, report: Report
) -> dict[str, list[str]]:
    """Marks the models that saw documents which are being forgotten; gives their arms."""
    assert forgotten.under_way is not None
    doc_ids = forgotten.under_way.doc_ids
    models.drop_checkpoints(store, corpus)
    day = datetime.now(UTC).date().isoformat()
    marked = {}
    for place, arms in models.that_saw(store, corpus, doc_ids).items():
        reason = models.mark(store, place, arms, doc_ids, day)
        partition = corpus if len(place) > 1 else None
        report(
            dg.AssetObservation(
                asset_key=place[0], partition=partition, metadata={"stale because": reason}
            )
        )
        marked["/".join(place)] = arms
    return marked


def _cut_releases(store: Store, corpus: str, doc_ids: set[str], outcome: Outcome) -> None:
    for place in releases.places(store, corpus):
        if done := releases.cut(store, place, doc_ids):
            outcome.releases["/".join(place)] = [asdict(one) for one in done]


def _cut_cache(
    store: Store,
    corpus: str,
    doc_ids: set[str],
    texts: Fingerprints,
    words: set[str],
    outcome: Outcome,
) -> list[str]:
    """Deletes the outputs about the documents from the cache; gives their addresses."""
    cache = GenerationCache(store)
    # What cannot be read may hold anything.
    outcome.damaged_segments = cache.forget_damaged()
    keys = cut.keys_of_their_own(store, corpus, doc_ids)
    keys |= cut.unclaimed_keys_about(
        store, lambda output: texts.in_text(output) or says_one_of(output, words)
    )
    outcome.cached_outputs = cache.forget(sorted(keys))
    return sorted(keys)


def _sweep(store: Store, corpus: str, others_at_work: bool) -> None:
    """Deletes what killed writers left half written; what others may be writing for an hour yet."""
    for table in (*_TABLES, *_SIDE_TABLES, FILES):
        store.sweep(table, f"corpus={corpus}", older_than=0.0)
    seconds = 3600.0 if others_at_work else 0.0
    for folder in ("generation_cache", DATASET, models.TUNED, "evaluation"):
        store.sweep(folder, older_than=seconds)
    store.sweep(older_than=seconds)  # the mixture and its model lie beside the tables
    if store.is_local:
        # The step between two names of a published folder, on filesystems that cannot exchange.
        for left in Path(store.root).glob(f"*/.{corpus}.*.old"):
            shutil.rmtree(left, ignore_errors=True)


def _others_at_work(instance: dg.DagsterInstance, run_id: str) -> bool:
    under_way = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=under_way), limit=2)
    return any(run.run_id != run_id for run in runs)


def _judge_and_publish(
    store: Store,
    catalogue: Catalogue,
    corpus: str,
    doc_ids: set[str],
    outcome: Outcome,
    log: Log,
) -> None:
    """Judges the rows that are left beside each other and publishes them, as a refresh does.

    Where that cannot be done here, the verdicts stay as they are until a refresh.
    """
    outcome.rows["curated_tasks"] = cut.curated_rows(store, corpus, doc_ids)
    judged: Corpus | None = None
    if store.exists("tasks", corpus):
        try:
            judged = catalogue.corpus(corpus)
            curation.refresh(store, judged, log)
        except (
            CatalogueError,
            MissingLibraryError,
            MissingModelError,
            StaleTable,
            TableMissing,
            TestSetError,
        ) as error:
            judged = None
            outcome.left_for_the_next_refresh = f"the rows were not judged anew: {error}"
            log(outcome.left_for_the_next_refresh)
    cut.cut_curated(store, corpus, doc_ids)
    _drop_stale_side_tables(store, corpus)
    if judged is not None and store.is_published(DATASET, corpus):
        _publish(store, judged)
    if MIXTURE in outcome.releases and store.is_published(MIXTURE):
        try:
            given = mixture.sources(store, catalogue)
            previous = store.folder(MIXTURE)
            with store.new_folder(MIXTURE) as folder:
                publish_mixture(store, given, folder, previous)
        except (CatalogueError, MixtureError) as error:
            outcome.left_for_the_next_refresh = f"the mixture was not made anew: {error}"
            log(outcome.left_for_the_next_refresh)


def _drop_stale_side_tables(store: Store, corpus: str) -> None:
    """Deletes what curation remembers of rows that are gone, where it had no need to renew it."""
    for table in _SIDE_TABLES:
        known = store.written(table, corpus)
        described = store.written("chunks" if table == PASSAGES else "tasks", corpus)
        if known is not None and described is not None and known.rows != described.rows:
            store.drop(table, corpus)


def _publish(store: Store, corpus: Corpus) -> None:
    """Publishes what is left, however little: a person's word to forget stands above the checks."""
    books = stage_books(store, corpus.name)
    if not books["curated_tasks"]["verdicts"].get(ACCEPTED, 0):
        return
    with store.new_folder(DATASET, corpus.name) as folder:
        publish(store, corpus, books, folder, store.folder(DATASET, corpus.name))


def _scrub(history: History, corpus: str, texts: Fingerprints) -> Scrubbed:
    try:
        return history.forget(corpus, texts)
    except OSError as error:
        raise ForgetError(
            f"what Dagster remembers cannot be changed yet ({error}); tables and releases are "
            "done. Stop the UI and the daemon, or wait for the runs under way, and forget again"
        ) from error


def _drop_what_says_it(store: Store, corpus: str, texts: Fingerprints) -> None:
    """Deletes logs in which it stands, and a report on a model whose answers repeat it."""
    for path in search([str(log_folder(store.root))], texts).found:
        Path(path).unlink(missing_ok=True)
    report = store.uri("evaluation", corpus)
    if store.is_published("evaluation", corpus) and search([report], texts).found:
        store.filesystem.rm(url_to_fs(report)[1], recursive=True)


def _tell_dagster(store: Store, instance: dg.DagsterInstance, corpus: str, report: Report) -> None:
    for table in _TABLES:
        written = store.written(table, corpus)
        if written is not None:
            metadata = {
                "dagster/partition_row_count": written.rows,
                "dagster/uri": written.uri,
                "bytes": written.bytes,
            }
            _report(instance, table, corpus, written.digest, metadata, report)
    for place in ((DATASET, corpus), (MIXTURE,)):
        if store.is_published(*place):
            release = record(store.folder(*place))
            partition = corpus if len(place) > 1 else None
            count = "dagster/partition_row_count" if partition else "dagster/row_count"
            metadata = {
                count: sum(release["splits"].values()),
                "dagster/uri": store.uri(*place),
                "version": release["version"],
            }
            _report(instance, place[0], partition, release["version"], metadata, report)


def _report(
    instance: dg.DagsterInstance,
    asset: str,
    partition: str | None,
    version: str,
    metadata: dict[str, Any],
    report: Report,
) -> None:
    made = materialization(instance, asset, partition, version, metadata)
    if made is not None:
        report(made)


def _refuse_leftovers(searched: Searched) -> None:
    if searched.found or searched.unreadable:
        found = [f"{path} still says it" for path in searched.found]
        found += [
            f"{path} cannot be read (if another run is writing it, wait for its end)"
            for path in searched.unreadable
        ]
        raise ForgetError(
            f"{'; '.join(found[:5])}{' and others' if len(found) > 5 else ''}: of "
            f"{searched.files:,} files. Delete or move what is not needed and forget again"
        )


def _note(store: Store, corpus: str, reason: str, run_id: str, what: dict[str, Any]) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"at": now, "who": audit.who(), "run_id": run_id, "corpus": corpus, "reason": reason}
    audit.append(store, {**entry, **what})
