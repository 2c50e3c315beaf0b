"""Marks tuned models that learned from a document: what they learned cannot be cut out of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bonito_assets.lineage.forget.releases import releases_of
from bonito_assets.publishing.mixture import MIXTURE
from bonito_assets.publishing.publish import DATASET
from bonito_assets.publishing.release import FORGOTTEN, data_files, record
from bonito_assets.tuning import checkpoints
from bonito_assets.tuning.record import RECORD, read_record
from bonito_assets.tuning.unchanged import STALE, arm_folder, arms_of
from resources.store import Store

TUNED, MIXTURE_MODEL = "tuned_model", "mixture_model"


def places(store: Store, corpus: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Gives the tuned models that `corpus` may stand in, each with the dataset it was tuned on."""
    datasets = {(TUNED, corpus): (DATASET, corpus), (MIXTURE_MODEL,): (MIXTURE,)}
    return {p: d for p, d in datasets.items() if store.is_published(*p)}


def that_saw(
    store: Store, corpus: str, doc_ids: Collection[str]
) -> dict[tuple[str, ...], list[str]]:
    """Gives the models that may have learned from the documents, each with those of its arms.

    An arm saw what was in the `train` split of its release; one that goes on with raw text saw
    every document that was not held out. Where the release is there no longer, it is taken to
    have seen them.
    """
    found = {}
    for place, dataset in places(store, corpus).items():
        model = store.folder(*place)
        releases = releases_of(store.folder(*dataset)) if store.is_published(*dataset) else []
        arms = [
            arm
            for arm in sorted(arms_of(model))
            if (arm_folder(model, arm) / RECORD).exists()
            and _saw(read_record(arm_folder(model, arm)), arm, releases, doc_ids)
        ]
        if arms:
            found[place] = arms
    return found


def _saw(
    training: dict[str, Any], arm: str, releases: list[Path], doc_ids: Collection[str]
) -> bool:
    version = training["dataset_version"]
    for release in releases:
        known = record(release)
        if version in known.get(FORGOTTEN, {}).get("was", []):
            # Its rows were cut before, and who saw them was marked then; of raw text nobody knows.
            return arm != "bonito" or bool(_of_split(release, "train", doc_ids))
        if known["version"] == version:
            if arm == "bonito":
                return bool(_of_split(release, "train", doc_ids))
            return len(_of_split(release, "validation", doc_ids)) < len(doc_ids)
    return True


def _of_split(release: Path, split: str, doc_ids: Collection[str]) -> set[str]:
    """Gives those of the documents that stand in one split of a release."""
    path = data_files(release).get(split)
    if path is None:
        return set()
    column = pq.read_table(path, columns=["doc_id"])["doc_id"]
    return set(column.filter(pc.is_in(column, value_set=pa.array(sorted(doc_ids)))).to_pylist())


def mark(
    store: Store, place: tuple[str, ...], arms: list[str], doc_ids: Collection[str], day: str
) -> str:
    """Marks a published model as stale, for tuning and for `bonito status`; gives the reason."""
    path = store.folder(*place) / STALE
    earlier: dict[str, Any] = {}
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
    documents = sorted({*earlier.get("documents", []), *doc_ids})
    reason = (
        f"it may have learned from {len(documents):,} "
        f"{'document that was' if len(documents) == 1 else 'documents that were'} forgotten "
        f"({day}): tune it again"
    )
    content = {
        "reason": reason,
        "arms": sorted({*earlier.get("arms", []), *arms}),
        "documents": documents,
    }
    with store.new_file(*place, STALE) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
    return reason


def stale_because(store: Store, *place: str) -> str | None:
    """Gives why a published model was marked as stale; None for one that was not."""
    if not store.is_published(*place, STALE):
        return None
    return json.loads((store.folder(*place) / STALE).read_text(encoding="utf-8"))["reason"]


def drop_checkpoints(store: Store, corpus: str) -> None:
    """Deletes unfinished training that may have seen documents of `corpus`."""
    for place in ((TUNED, corpus), (MIXTURE_MODEL,)):
        shutil.rmtree(checkpoints.place(store, *place), ignore_errors=True)
