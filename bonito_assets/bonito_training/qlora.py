"""Bonito as its authors trained it: QLoRA over a base model, on conditional-task-generation pairs.

The card of ``BatsResearch/bonito-v1`` states 4-bit nf4 with double quantisation, rank 64, learning
rate 1e-4 falling linearly, 16 rows per step, 100,000 steps, and 2,048 tokens each for prompt and
completion. All but the last two are what the platform tunes with anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning import lora
from resources.model import Model

STEPS = 100_000
# Prompt and completion together. With passages of 2,048 characters hardly a pair comes near it.
MAX_TOKENS = 4096
_HELD_OUT = 200  # pairs that only the loss before and after is measured on


def recipe(rows: int, **changed: Any) -> Tuning:
    """Gives the settings for `rows` pairs: the card's steps, or one epoch if that is less."""
    settings = Tuning(**{"method": "qlora", "max_tokens": MAX_TOKENS, **changed})
    steps = settings.max_steps or min(STEPS, math.ceil(rows / settings.batch_size))
    return settings.model_copy(update={"max_steps": max(1, steps)})


def train(
    pairs: Path,
    base: Model,
    folder: Path,
    checkpoints: Path,
    log: Callable[[str], None],
    **changed: Any,
) -> dict[str, Any]:
    """Trains an adapter over `base` on the table `pairs` into `folder` and gives the record.

    `changed` are settings of the recipe to replace. A run that was killed goes on from its folder
    `checkpoints`. Raises ``TuningError`` and ``ModelError`` as ``lora.tune_on_pairs`` does.
    """
    rows = pq.read_metadata(pairs).num_rows
    held = min(_HELD_OUT, rows // 4)
    settings = recipe(rows - held, **changed)
    learned = min(rows - held, lora.most_rows(settings))
    order = np.random.default_rng(lora.SEED).permutation(rows)
    log(f"{learned:,} of {rows:,} pairs are learned from, {held:,} held out")
    outcome = lora.tune_on_pairs(
        base,
        _drawn(pairs, order[held : held + learned]),
        _drawn(pairs, order[:held]),
        settings,
        folder,
        log,
        checkpoints,
    )
    return {
        "method": outcome.method,
        "base_model": {"name": base.name, "fingerprint": base.fingerprint},
        "settings": settings.model_dump(exclude={"arms", "prompt"}),
        "pairs": {"rows": rows, "held_out": held},
        **{key: value for key, value in asdict(outcome).items() if key != "prompt"},
    }


def _drawn(pairs: Path, places: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yields prompt and completion of the rows at `places`, holding one batch at a time."""
    with pq.ParquetFile(pairs) as file:
        wanted = np.zeros(file.metadata.num_rows, dtype=bool)
        wanted[places] = True
        start = 0
        for batch in file.iter_batches(columns=["prompt", "completion"]):
            kept = batch.filter(pa.array(wanted[start : start + batch.num_rows]))
            start += batch.num_rows
            yield from zip(kept["prompt"].to_pylist(), kept["completion"].to_pylist(), strict=True)
