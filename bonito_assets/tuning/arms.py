"""The arms of a comparison: what each is tuned on, and where it is published.

``bonito`` learns the published tasks, ``tapt`` goes on with the raw passages that they were
written from. Documents of the validation split are kept from both.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bonito_assets.catalogue import Corpus, Tuning
from bonito_assets.tuning import checkpoints, lora
from bonito_assets.tuning.examples import read_split, split_path
from bonito_assets.tuning.record import RECORD, inputs, read_record, write_record
from bonito_assets.tuning.unchanged import arm_folder, arms_of, causes_to_tune
from resources.checksums import SUMS
from resources.model import Model, ModelError
from resources.store import Store

UNCHANGED = "unchanged: nothing was trained"
SPLITS = ("train", "validation")


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


def refresh(
    store: Store, corpus: Corpus, base: Model, again: bool, log: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Publishes the arms of `corpus` and gives their records by name.

    Only an arm that would come out otherwise than it was published is tuned; where none would,
    what is published stays as it is. With `again` every arm is tuned.
    Raises ``TuningError`` and ``ModelError`` as ``lora.tune`` does.
    """
    dataset = store.folder("instruction_dataset", corpus.name)
    made_from = {
        arm: inputs(
            base,
            dataset,
            corpus.tuning,
            None if arm == "bonito" else passages_digest(store, corpus, dataset),
        )
        for arm in sorted(corpus.tuning.arms)
    }
    published = store.published("tuned_model", corpus.name)
    causes = causes_to_tune(published, made_from, again)
    if not any(causes.values()) and arms_of(published) == set(causes):
        log(UNCHANGED)
        return {arm: read_record(arm_folder(published, arm)) for arm in causes}
    unfinished = checkpoints.place(store, "tuned_model", corpus.name)
    records = {}
    with store.new_folder("tuned_model", corpus.name) as folder:
        for arm, cause in causes.items():
            place = arm_folder(folder, arm)

            def told(line: str, arm: str = arm) -> None:
                log(f"{arm}: {line}" if len(causes) > 1 else line)

            if cause is None:
                told(UNCHANGED)
                records[arm] = _take_over(arm_folder(published, arm), place)
                continue
            told(f"tuning, because {cause}")
            place.mkdir(parents=True, exist_ok=True)
            tune_arm = _tune_on_own_tasks if arm == "bonito" else _tune_on_passages
            records[arm] = tune_arm(store, corpus, dataset, base, place, unfinished / arm, told)
    shutil.rmtree(unfinished, ignore_errors=True)
    return records


def refresh_mixture(
    store: Store,
    corpora: Iterable[str],
    base: Model,
    settings: Tuning,
    again: bool,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Publishes the model of `instruction_mixture`, made of `corpora`, and gives its record.

    It is tuned only where it would come out otherwise, or `again`; see ``refresh``.
    """
    dataset = store.folder("instruction_mixture")
    published = store.published("mixture_model")
    made_from = {"bonito": inputs(base, dataset, settings)}
    [cause] = causes_to_tune(published, made_from, again).values()
    if cause is None:
        log(UNCHANGED)
        return read_record(published)
    log(f"tuning, because {cause}")
    unfinished = checkpoints.place(store, "mixture_model")
    with store.new_folder("mixture_model") as folder:
        record = tune_on_tasks(
            store, corpora, "instruction_mixture", dataset, base, settings, folder, unfinished, log
        )
    shutil.rmtree(unfinished, ignore_errors=True)
    return record


def _take_over(published: Path, place: Path) -> dict[str, Any]:
    """Copies an arm that is published into a new model, without the arms that lie in it."""
    others = shutil.ignore_patterns("arms", SUMS)  # checksums are those of the whole folder
    shutil.copytree(published, place, ignore=others, dirs_exist_ok=True)
    return read_record(place)


def _tune_on_own_tasks(
    store: Store,
    corpus: Corpus,
    dataset: Path,
    base: Model,
    folder: Path,
    unfinished: Path,
    log: Callable[[str], None],
) -> dict[str, Any]:
    return tune_on_tasks(
        store, [corpus.name], corpus.name, dataset, base, corpus.tuning, folder, unfinished, log
    )


def _tune_on_passages(
    store: Store,
    corpus: Corpus,
    dataset: Path,
    base: Model,
    folder: Path,
    unfinished: Path,
    log: Callable[[str], None],
) -> dict[str, Any]:
    train, validation = (texts(store, corpus, dataset, split) for split in SPLITS)
    outcome = lora.tune_on_text(base, train, validation, corpus.tuning, folder, log, unfinished)
    learned = passages_digest(store, corpus, dataset)
    return write_record(
        folder,
        corpus.name,
        base,
        dataset,
        corpus.tuning,
        outcome,
        arm="tapt",
        passages_sha256=learned,
    )


def passages_digest(store: Store, corpus: Corpus, dataset: Path) -> str:
    """Gives the sha256 over the passages of both splits, in the order in which they are read."""
    sha = hashlib.sha256()
    for split in SPLITS:
        for text in texts(store, corpus, dataset, split):
            content = text.encode()
            # With its length, so that text that moves from one passage to the next counts.
            sha.update(f"{split} {len(content)} ".encode() + content)
    return sha.hexdigest()


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
