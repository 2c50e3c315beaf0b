"""All published corpora as one dataset: no row twice, and each corpus with its weight.

A row that another corpus has too, or that asks the same of a near-copy of the passage, stays where
the model was surest of it. What a corpus has twice within itself is its own affair and was settled
when it was curated. Rows stream; arrays of some sixty bytes per row are held.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.catalogue import Catalogue, Corpus, Curation
from bonito_assets.publishing.publish import DATASET
from bonito_assets.publishing.release import SPLITS, Rows, data_files, record, write_rows
from resources.store import Store

if TYPE_CHECKING:
    from bonito_assets.curation.duplicates.rows import Rows as RowKeys
    from bonito_assets.curation.passages import Passages

MIXTURE = "instruction_mixture"
# Rows worked on at once, as in curation: some 30 MB of them.
_ROWS = 8192
KEPT, DUPLICATE, OVER_WEIGHT = 0, 1, 2


class MixtureError(ValueError):
    """The published corpora cannot be put together; the message says which and what to do."""


@dataclass(frozen=True)
class Source:
    """A corpus as it is published: its folder and its ``release.json``."""

    corpus: Corpus
    folder: Path
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Gives the name of the corpus."""
        return self.corpus.name

    def batches(self) -> Iterator[tuple[pa.RecordBatch, bool]]:
        """Gives the published rows, each batch with whether it is of the validation split."""
        files = data_files(self.folder)
        for split in SPLITS:
            if split in files:
                with pq.ParquetFile(files[split]) as file:
                    for batch in file.iter_batches(_ROWS):
                        yield batch, split == "validation"


@dataclass(frozen=True)
class Sources:
    """What can be mixed, in the order of the catalogue, and the corpora that are not in it.

    ``missing`` have no release yet; ``left_out`` have the weight 0.
    """

    found: list[Source]
    missing: list[str]
    left_out: list[str]


def sources(store: Store, catalogue: Catalogue) -> Sources:
    """Gives the published corpora of the catalogue; raises ``MixtureError`` where there is none."""
    found, missing, left_out = [], [], []
    for name in catalogue.names():
        corpus = catalogue.corpus(name)
        if corpus.mixture_weight == 0:
            left_out.append(name)
        elif (folder := store.published(DATASET, name)) is None:
            missing.append(name)
        else:
            found.append(Source(corpus, folder, record(folder)))
    if not found:
        raise MixtureError(
            f"no corpus is published yet (looked for {', '.join(missing) or 'none at all'}): "
            "bonito run CORPUS"
        )
    return Sources(found, missing, left_out)


@dataclass(frozen=True)
class Chosen:
    """What becomes of each row, in the order of the corpora: ``KEPT`` or why not.

    ``corpus`` is the number of each row's corpus. ``duplicates`` counts rows by their own corpus,
    the corpus that has the row kept in their place, and whether they are ``exact`` or ``near``.
    """

    fate: np.ndarray
    corpus: np.ndarray
    duplicates: Counter[tuple[int, int, str]]


def choose(
    corpus: np.ndarray,
    mean_logprob: np.ndarray,
    families: Mapping[str, np.ndarray],
    weights: Sequence[float | None],
) -> Chosen:
    """Gives the rows of the mixture.

    Of a family that spans corpora the best row's corpus keeps its rows: that with the highest
    `mean_logprob` (NaN is the lowest), then the first. Of what is left, corpora with a weight give
    as many rows, best first, as stand in the proportion of the weights and are the most that can be
    had without repeating any; one without a weight gives all.
    """
    best_first = np.argsort(-np.nan_to_num(mean_logprob, nan=-np.inf), kind="stable")
    fate = np.full(len(corpus), KEPT, np.int8)
    duplicates: Counter[tuple[int, int, str]] = Counter()
    for kind, family in families.items():
        best = np.full(len(corpus), -1, np.int64)
        # Of several values for one place the last one stays, which is that of the best row.
        worst_first = best_first[(fate == KEPT)[best_first]][::-1]
        best[family[worst_first]] = worst_first
        kept_in = corpus[best[family]]
        copies = (fate == KEPT) & (kept_in != corpus)
        fate[copies] = DUPLICATE
        pairs = np.unique(np.stack([corpus[copies], kept_in[copies]]), axis=1, return_counts=True)
        for (own, other), rows in zip(pairs[0].T.tolist(), pairs[1].tolist(), strict=True):
            duplicates[own, other, kind] += rows
    left = np.bincount(corpus[fate == KEPT], minlength=len(weights)).tolist()
    for number, most in enumerate(amounts(left, weights)):
        ordered = best_first[(fate[best_first] == KEPT) & (corpus[best_first] == number)]
        fate[ordered[most:]] = OVER_WEIGHT
    return Chosen(fate, corpus, duplicates)


def amounts(rows: Sequence[int], weights: Sequence[float | None]) -> list[int]:
    """Gives how many of its `rows` each corpus gives, so that weights are kept and none repeats.

    A corpus that has no row left sets no measure for the others.
    """
    # Fractions, so that the corpus that sets the measure gives all of its rows and not one less.
    scale = min(
        (Fraction(n) / Fraction(w) for n, w in zip(rows, weights, strict=True) if w and n),
        default=Fraction(0),
    )
    return [
        n if w is None else math.floor(scale * Fraction(w)) if n else 0
        for n, w in zip(rows, weights, strict=True)
    ]


@dataclass(frozen=True)
class Mixed:
    """The rows that were written and their books.

    ``offered`` and ``kept`` count rows by corpus and task type, before and after.
    """

    rows: Rows
    books: dict[str, Any]
    offered: Counter[tuple[str, str]]
    kept: Counter[tuple[str, str]]


def mix(store: Store, given: Sources, folder: Path) -> Mixed:
    """Writes the rows of the mixture of `given` into `folder` and gives its books.

    Raises ``MixtureError`` for a release whose passages are no longer in the tables.
    """
    chosen = _chosen(store, given.found)
    offered: Counter[tuple[str, str]] = Counter()
    kept: Counter[tuple[str, str]] = Counter()

    def rows_kept() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        done = 0
        for source in given.found:
            for batch, in_validation in source.batches():
                fate = chosen.fate[done : done + batch.num_rows]
                done += batch.num_rows
                rows = batch.filter(pa.array(fate == KEPT))
                _count(offered, source.name, batch)
                _count(kept, source.name, rows)
                yield rows, pa.repeat(pa.scalar(in_validation), rows.num_rows)

    rows = write_rows(folder, rows_kept())
    return Mixed(rows, _books(given, chosen), offered, kept)


def _count(counts: Counter[tuple[str, str]], corpus: str, rows: pa.RecordBatch) -> None:
    for entry in rows["task_type"].value_counts().to_pylist():
        counts[corpus, entry["values"]] += entry["counts"]


def _chosen(store: Store, given: Sequence[Source]) -> Chosen:
    from bonito_assets.curation.duplicates import rows as duplicate_rows
    from bonito_assets.curation.passages import COLUMNS, Passages

    chunks = (b for source in given for b in store.batches("chunks", source.name, COLUMNS))
    with tempfile.TemporaryDirectory(prefix="bonito-mixture-") as temporary:
        passages = Passages(chunks, Path(temporary))
        keys = _row_keys(given, passages)
        features = _passage_features(store, given, passages)
        found = duplicate_rows.families(keys, features, Curation().near_duplicates, "corpus")
    corpus = np.repeat(
        np.arange(len(given)), [sum(source.record["splits"].values()) for source in given]
    )
    logprobs = np.concatenate([_logprobs(store, source) for source in given])
    weights = [source.corpus.mixture_weight for source in given]
    return choose(corpus, logprobs, found._asdict(), weights)


def _row_keys(given: Sequence[Source], passages: Passages) -> RowKeys:
    """Gives the keys by which the published rows are compared."""
    from bonito_assets.curation.duplicates import rows as duplicate_rows
    from bonito_assets.curation.passages import StaleTable

    columns: dict[str, list[np.ndarray]] = {name: [] for name in duplicate_rows.Rows._fields}
    for source in given:
        for batch, _ in source.batches():
            try:
                numbers = passages.numbers(batch["chunk_id"])
            except StaleTable as error:
                raise MixtureError(
                    f"corpus '{source.name}': rows are published about passages that its table "
                    f"chunks no longer holds: publish it again with bonito run {source.name} --to "
                    f"{DATASET}"
                ) from error
            found = duplicate_rows.row_features(
                batch["input"], batch["output"], passages.of(batch["chunk_id"])
            )
            columns["instruction_key"].append(found["instruction_key"].to_numpy())
            columns["task_key"].append(found["task_key"].to_numpy())
            columns["holds_passage"].append(found["holds_passage"].to_numpy(zero_copy_only=False))
            columns["eligible"].append(np.ones(batch.num_rows, bool))
            columns["passage"].append(numbers)
    return duplicate_rows.Rows(**{name: np.concatenate(found) for name, found in columns.items()})


def _passage_features(store: Store, given: Sequence[Source], passages: Passages) -> Any:
    from bonito_assets.curation.duplicates import rows as duplicate_rows
    from bonito_assets.curation.duplicates.signatures import BANDS

    found = [
        duplicate_rows.passage_features(batch["text"])
        for source in given
        for batch in store.batches("chunks", source.name, ["text"])
    ]
    features = pa.Table.from_batches(found, duplicate_rows.PASSAGE_FEATURES).combine_chunks()
    bands = features["bands"].combine_chunks().flatten().to_numpy()
    return duplicate_rows.Passages(
        passage_key=features["passage_key"].to_numpy(),
        bands=bands.reshape(-1, BANDS),
        document=passages.documents,
        texts=passages.texts,
    )


def _logprobs(store: Store, source: Source) -> np.ndarray:
    """Gives the mean log-probability of each published row; NaN where curation knows of none."""
    from bonito_assets.curation.keys import keys
    from bonito_assets.curation.passages import found_in

    known, values = [np.empty(0, np.uint64)], [np.empty(0)]
    for batch in store.batches("curated_tasks", source.name, ["generation_id", "mean_logprob"]):
        known.append(keys(batch["generation_id"]))
        values.append(batch["mean_logprob"].to_numpy(zero_copy_only=False))
    order = np.argsort(np.concatenate(known))
    ordered, values_in_order = np.concatenate(known)[order], np.concatenate(values)[order]
    wanted = np.concatenate([keys(batch["generation_id"]) for batch, _ in source.batches()])
    places, is_known = found_in(ordered, wanted)
    return np.where(is_known, values_in_order[places], np.nan)


def _books(given: Sources, chosen: Chosen) -> dict[str, Any]:
    """Gives what became of the rows of each corpus, and which corpora are not in the mixture."""
    names = [source.name for source in given.found]
    counts = np.zeros((len(names), 3), np.int64)
    np.add.at(counts, (chosen.corpus, chosen.fate), 1)
    return {
        "corpora": {
            source.name: {
                "version": source.record["version"],
                "weight": source.corpus.mixture_weight,
                "rows": sum(source.record["splits"].values()),
                "duplicates": int(row[DUPLICATE]),
                "over_weight": int(row[OVER_WEIGHT]),
                "kept": int(row[KEPT]),
            }
            for source, row in zip(given.found, counts, strict=True)
        },
        "duplicates": [
            {"corpus": names[own], "kept_in": names[other], "kind": kind, "rows": rows}
            for (own, other, kind), rows in sorted(chosen.duplicates.items())
        ],
        "missing": given.missing,
        "left_out": given.left_out,
    }


def problems(books: Mapping[str, Any], published: Mapping[str, Any]) -> list[str]:
    """Gives where the books of a mixture do not reconcile with what was written, if anywhere."""
    found = []
    for name, entry in books["corpora"].items():
        parts = entry["duplicates"] + entry["over_weight"] + entry["kept"]
        if parts != entry["rows"]:
            found.append(f"{name}: {entry['rows']:,} rows published, {parts:,} accounted for")
    kept = sum(entry["kept"] for entry in books["corpora"].values())
    if not kept == published["rows"] == published["ids"]:
        found.append(
            f"{kept:,} rows kept, {published['rows']:,} written with {published['ids']:,} ids"
        )
    if published["shared_documents"]:
        found.append(f"{published['shared_documents']:,} documents stand in both splits")
    return found
