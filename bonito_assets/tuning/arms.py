"""The arms of a comparison: what each is tuned on, and where it is published.

``bonito`` learns the published tasks, ``tapt`` goes on with the raw passages that they were
written from. Documents of the validation split are kept from both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bonito_assets.catalogue import Corpus, Tuning
from bonito_assets.tuning import lora
from bonito_assets.tuning.examples import read_split, split_path
from bonito_assets.tuning.record import RECORD, write_record
from resources.model import Model, ModelError
from resources.store import Store


def arm_folder(folder: Path, arm: str) -> Path:
    """Gives where an arm lies in a published model: ``bonito`` on top, others under ``arms``."""
    return folder if arm == "bonito" else folder / "arms" / arm


def published_arm(store: Store, corpus: str, arm: str) -> Path:
    """Gives the folder of a published arm; raises ``ModelError`` when it is not there."""
    model = store.published("tuned_model", corpus)
    if model is None:
        raise ModelError(f"corpus '{corpus}' has no tuned model yet: bonito run {corpus}")
    place = arm_folder(model, arm)
    if not (place / RECORD).exists():
        raise ModelError(
            f"the tuned model of '{corpus}' has no arm '{arm}'; it would have one with "
            f"'tuning: {{arms: [bonito, {arm}]}}' in its catalogue file"
        )
    return place


def tune_arms(
    store: Store,
    corpus: Corpus,
    base: Model,
    folder: Path,
    checkpoints: Path,
    log: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Tunes every arm of `corpus` into `folder` and gives their records by name.

    Raises ``TuningError`` and ``ModelError`` as ``lora.tune`` does.
    """
    records = {}
    for arm in sorted(corpus.tuning.arms):
        dataset = store.folder("instruction_dataset", corpus.name)
        place = arm_folder(folder, arm)
        place.mkdir(parents=True, exist_ok=True)

        def told(line: str, arm: str = arm) -> None:
            log(f"{arm}: {line}" if len(corpus.tuning.arms) > 1 else line)

        if arm == "bonito":
            records[arm] = tune_on_tasks(
                store,
                [corpus.name],
                corpus.name,
                dataset,
                base,
                corpus.tuning,
                place,
                checkpoints / arm,
                told,
            )
        else:
            outcome = lora.tune_on_text(
                base,
                texts(store, corpus, dataset, "train"),
                texts(store, corpus, dataset, "validation"),
                corpus.tuning,
                place,
                told,
                checkpoints / arm,
            )
            records[arm] = write_record(
                place, corpus.name, base, dataset, corpus.tuning, outcome, arm=arm
            )
    return records


def tune_on_tasks(
    store: Store,
    corpora: Iterable[str],
    name: str,
    dataset: Path,
    base: Model,
    settings: Tuning,
    folder: Path,
    checkpoints: Path,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Tunes `base` on a published dataset into `folder` and gives the record.

    `corpora` are those that the dataset was made of; `name` is what the record calls it.
    """
    train = read_split(dataset, "train", lora.most_rows(settings), lora.SEED)
    validation = read_split(dataset, "validation")
    if train.of > len(train.rows):
        log(f"of {train.of:,} rows the longest run sees {len(train.rows):,}: drawn by chance")
    wanted = {row["chunk_id"] for rows in (train.rows, validation.rows) for row in rows}
    outcome = lora.tune(
        base,
        train.rows,
        validation.rows,
        passages(store, corpora, wanted),
        settings,
        folder,
        log,
        checkpoints,
    )
    return write_record(folder, name, base, dataset, settings, outcome, rows_in_split=train.of)


def passages(store: Store, corpora: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Gives the text of the passages `wanted`, by chunk_id; other passages are never held."""
    found: dict[str, str] = {}
    ids = pa.array(sorted(wanted), pa.string())
    for corpus in corpora:
        for batch in store.batches("chunks", corpus, ["chunk_id", "text"]):
            kept = batch.filter(pc.is_in(batch["chunk_id"], value_set=ids))
            found.update(zip(kept["chunk_id"].to_pylist(), kept["text"].to_pylist(), strict=True))
    return found


def texts(store: Store, corpus: Corpus, dataset: Path, split: str) -> Iterator[str]:
    """Gives the accepted passages of the documents on one side of the dataset's split.

    Of passages that overlap, paragraphs and the sentences in them, only the larger are given.
    """
    units = {corpus.unit_of(task_type) for task_type in corpus.task_types}
    unit = "paragraph" if "paragraph" in units else "sentence"
    path = split_path(dataset, "validation")
    held_out = pa.array([], pa.string())
    if path.exists():
        held_out = pq.read_table(path, columns=["doc_id"])["doc_id"].unique()
    for batch in store.batches("chunks", corpus.name):
        on_side = pc.is_in(batch["doc_id"], value_set=held_out)
        wanted = pc.and_(
            pc.is_null(batch["rejected_because"]),
            on_side if split == "validation" else pc.invert(on_side),
        )
        kept = batch.filter(wanted)
        for text, serves_as in zip(
            kept["text"].to_pylist(), kept["units"].to_pylist(), strict=True
        ):
            if unit in serves_as:
                yield text
