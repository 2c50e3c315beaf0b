"""Gathers what the verdicts are made from: an array per column, of side tables up to date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.curation import round_trip
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.remembered import Along
from bonito_assets.curation.side_tables import FAMILIES, FEATURES, OVERLAPS, SideTables
from bonito_assets.curation.verdicts import Facts
from resources.store import Store

# A family, the verdict on all but one of its rows, and the key that switches it off.
_FAMILIES = {"exact": "duplicates", "near": "near_duplicates", "semantic": "semantic_duplicates"}


class _OfTasks(NamedTuple):
    refused: np.ndarray
    kind: np.ndarray
    kinds: list[tuple[str, str | None]]
    mean_logprob: np.ndarray
    groups: dict[str, np.ndarray]


def gather(store: Store, corpus: Corpus, side: SideTables) -> Facts:
    """Gives the facts about every row of `tasks`, bringing up to date what they rest on.

    Only what a rule of the corpus asks for is read. Raises ``StaleTable`` where `tasks`,
    `chunks`, `generations` and `round_trips` are of different refreshes.
    """
    rules = corpus.curation
    side.features()
    if side.sets:
        side.overlaps()
    own = _of_tasks(store, corpus, side)
    scores = {
        name: side.column(FEATURES, name) for name in rules.thresholds if name in tables.TEXT_SCORES
    }
    if rules.round_trip is not None:
        scores["round_trip"] = _round_trip(store, corpus, side)
    contaminated = None
    if side.sets:
        found = store.read(OVERLAPS, corpus.name, ["contaminated_by"])["contaminated_by"]
        contaminated = found.is_valid().to_numpy()
    families = {}
    if rules.duplicates != "off":
        side.families()
        families = {
            f"{name}_duplicate": side.column(FAMILIES, name, np.int64)
            for name, key in _FAMILIES.items()
            if getattr(rules, key) is not None
        }
    if rules.max_per_template is not None:
        templates = store.read(FEATURES, corpus.name, ["template"])["template"]
        own.groups["template"] = _group(templates.combine_chunks())
    return Facts(
        own.refused,
        own.kind,
        own.kinds,
        own.mean_logprob,
        contaminated,
        scores,
        families,
        own.groups,
    )


def _of_tasks(store: Store, corpus: Corpus, side: SideTables) -> _OfTasks:
    rules = corpus.curation
    wanted = {
        "passage": ("chunk_id", rules.max_per_passage),
        "document": ("doc_id", rules.max_per_document),
    }
    grouped = {name: column for name, (column, most) in wanted.items() if most is not None}
    columns = ["generation_id", "task_type", "label", "rejected_because", *grouped.values()]
    numbers: dict[tuple[str, str | None], int] = {}
    refused, kind, logprobs = [np.empty(0, bool)], [np.empty(0, np.int32)], [np.empty(0)]
    groups = {name: [np.empty(0, np.int64)] for name in grouped}
    for batch, made in _beside_generations(store, corpus.name, side.tasks(columns)):
        refused.append(batch["rejected_because"].is_valid().to_numpy(zero_copy_only=False))
        kind.append(_numbered(batch, numbers))
        logprobs.append(made["mean_logprob"].to_numpy(zero_copy_only=False))
        for name, column in grouped.items():
            groups[name].append(_group(batch[column]))
    return _OfTasks(
        np.concatenate(refused),
        np.concatenate(kind),
        list(numbers),
        np.concatenate(logprobs),
        {name: np.concatenate(pieces) for name, pieces in groups.items()},
    )


def _beside_generations(
    store: Store, name: str, tasks: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Gives the rows of `tasks` with those of `generations` that they were read from."""
    stale = StaleTable(
        f"corpus '{name}': the table tasks was not read from these generations; materialize the "
        "asset 'tasks' first"
    )
    columns = ["generation_id", "mean_logprob"]
    generations = Along(store.batches("generations", name, columns))
    for batch in tasks:
        made = generations.take(batch.num_rows)
        if made is None or not made["generation_id"].equals(batch["generation_id"]):
            raise stale
        yield batch, made
    if generations.take(1) is not None:
        raise stale


def _round_trip(store: Store, corpus: Corpus, side: SideTables) -> np.ndarray:
    """Gives the agreement of another model, NaN for rows that it was not asked."""
    stamp = store.stamps(round_trip.TABLE, corpus.name).get("made_from")
    if stamp is None or stamp != store.stamps("tasks", corpus.name).get("digest"):
        raise StaleTable(
            f"corpus '{corpus.name}': the table round_trips is not of these tasks; materialize the "
            "asset 'round_trips' first"
        )
    return side.column(round_trip.TABLE, "agreement")


def _numbered(batch: pa.RecordBatch, numbers: dict[tuple[str, str | None], int]) -> np.ndarray:
    """Gives the number of each row's task type and label; `numbers` learns those that are new."""
    types = batch["task_type"].dictionary_encode()
    labels = batch["label"].dictionary_encode("encode")
    named = labels.dictionary.to_pylist()
    pairs = types.indices.to_numpy().astype(np.int64) * len(named) + labels.indices.to_numpy()
    distinct, places = np.unique(pairs, return_inverse=True)
    own = [
        numbers.setdefault(
            (types.dictionary[pair // len(named)].as_py(), named[pair % len(named)]), len(numbers)
        )
        for pair in distinct.tolist()
    ]
    return np.array(own, np.int32)[places.reshape(-1)]


def _group(names: pa.Array) -> np.ndarray:
    """Gives a number per row that is equal for equal names, -1 for null."""
    from bonito_assets.curation.keys import keys

    is_null = names.is_null().to_numpy(zero_copy_only=False)
    return np.where(is_null, -1, (keys(names) >> np.uint64(1)).astype(np.int64))
