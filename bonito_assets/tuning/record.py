"""`training.json`: what a tuned model was made from, so that it can be made again."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.lora import ADAPTER, LIBRARIES, SEED, Outcome
from resources.model import Model

RECORD = "training.json"
# The code version of the assets that tune: to be raised when the same inputs would make another
# adapter than before, so that published ones are tuned again.
CODE = "2"

_PROMPTS = {
    "bonito": "Prompt: `<|input|>`, line end, the input, line end, `<|output|>`, line end; the "
    "answer ends with the end token.",
    "chat": "Prompt: the user's turn in the tokenizer's chat template; the answer is the "
    "assistant's.",
    None: "It was tuned to go on with raw text and knows no prompt.",
}
_LEARNED = {
    "bonito": "synthetic tasks, which a Bonito model wrote from unlabelled text and of which "
    "nobody has read all",
    "tapt": "blocks of raw text from the corpus",
}


def dataset_version(dataset: Path) -> str | None:
    """Gives the release that a dataset folder holds, None where it names none.

    Raises ``TuningError`` when its ``release.json`` is damaged.
    """
    path = dataset / "release.json"
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise TuningError(
            f"{path} is damaged ({error!r}); materialize the asset that publishes it again"
        ) from error


def inputs(
    base: Model, dataset: Path, settings: Tuning, passages_sha256: str | None = None
) -> dict[str, Any]:
    """Gives all that decides what an arm becomes, as it stands in its record.

    An arm that learns raw text is decided by its passages, given by their digest, any other by the
    release in `dataset`. The machine is not among the inputs: a model made on another one is the
    model that was asked for. Nor is the list of arms, since each is tuned by itself.
    Raises ``TuningError`` when the dataset's ``release.json`` is damaged.
    """
    data = {"dataset_version": dataset_version(dataset)}
    if passages_sha256 is not None:
        data = {"passages_sha256": passages_sha256}
    return {
        # The adapter names its base, so one under a new name needs another adapter.
        "base_model": {"name": base.name, "fingerprint": base.fingerprint},
        **data,
        "settings": settings.model_dump(exclude={"arms"}),
        "seed": SEED,
        "code": CODE,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def write_record(
    folder: Path,
    corpus: str,
    base: Model,
    dataset: Path,
    settings: Tuning,
    outcome: Outcome,
    arm: str = "bonito",
    rows_in_split: int | None = None,
    passages_sha256: str | None = None,
) -> dict[str, Any]:
    """Writes ``training.json`` and the model card beside an adapter and gives the record.

    `rows_in_split` is what the dataset holds where more than the rows that were used;
    `passages_sha256` the digest of the passages where they are what was learned.
    """
    record = {
        "corpus": corpus,
        "arm": arm,
        "dataset_version": dataset_version(dataset),
        **inputs(base, dataset, settings, passages_sha256),
        "rows": outcome.rows,
        "rows_in_split": rows_in_split,
        "rows_shortened": outcome.shortened,
        "rows_left_out": outcome.left_out,
        "steps": outcome.steps,
        "tokens": outcome.tokens,
        "method": outcome.method,
        "prompt": outcome.prompt,
        "precision": outcome.precision,
        "cards": outcome.cards,
        "trained_parameters": outcome.trained_parameters,
        "losses": [{"step": step, "loss": loss} for step, loss in outcome.losses],
        "validation_loss": outcome.validation_loss
        and dict(zip(("before", "after"), outcome.validation_loss, strict=True)),
        "seconds": round(outcome.seconds, 1),
        "resumed_at": outcome.resumed_at,
        "adapter_sha256": adapter_digest(folder),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(record), encoding="utf-8")
    return record


def read_record(folder: Path) -> dict[str, Any]:
    """Gives the record of the tuned model in `folder`."""
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def adapter_digest(folder: Path) -> str:
    """Gives the sha256 of the adapter's weights as a hex digest."""
    with (folder / ADAPTER).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(record: dict[str, Any]) -> str:
    name = record["base_model"]["name"]
    return f"""---
library_name: peft
pipeline_tag: text-generation
tags: [lora, bonito]
---
# Adapter for the corpus `{record["corpus"]}`

A LoRA adapter for the base model `{name}` ({record["base_model"]["fingerprint"]}), tuned by
{record["method"]} for {record["steps"]:,} steps on {record["rows"]:,} rows of release
{record["dataset_version"]} of the corpus: {_LEARNED[record["arm"]]}.
Judge the adapter by its evaluation, not by its loss.

{_PROMPTS[record["prompt"]]} `training.json` holds every setting.
"""
