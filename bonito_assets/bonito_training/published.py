"""The pairs that Bonito was trained on, as its authors publish them: ``BatsResearch/ctga-v1``.

1.65 million rows, remixed from 38 configurations of other data sets; each keeps the licence of its
own data set. Columns (of the script that made it, ctga/task_type_bonito.py of the authors):
``context, task_input, task_output, dataset, dataset_config, task_type``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bonito_assets.bonito_training.data_set import Counts, DataSet, drawn, opened
from bonito_assets.bonito_training.pairs import Pair
from bonito_assets.bonito_training.templates import completion
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import prompt
from bonito_assets.tables import CONTEXT_SLOT, PIPE

CTGA = "BatsResearch/ctga-v1"
_COLUMNS = ("context", "task_input", "task_output", "dataset", "dataset_config", "task_type")
_SHORT = {full: short for short, full in TASK_TYPES.items()}
# What three of the authors' templates left standing in the text by mistake; a model that learns it
# writes it.
_RESIDUE = ("| join(", "truncate(2048)")


@dataclass(frozen=True)
class Published:
    """The data set or a copy of it; of more than ``limit`` rows so many are drawn by chance."""

    data_set: DataSet
    limit: int | None = None


def pairs(published: Published, counts: Counts, seed: int) -> Iterator[Pair]:
    """Yields the pairs; `counts` is filled meanwhile.

    Raises ``ValueError`` when the data set is not there or has other columns.
    """
    source = opened(published.data_set)
    counts.version = source.version
    rng = random.Random(f"{seed} {published.data_set.title}")
    for row in drawn(source.rows, published.limit, rng, counts):
        missing = [name for name in _COLUMNS if name not in row]
        if missing:
            raise ValueError(
                f"{published.data_set.title}: has no column '{missing[0]}'; give {CTGA} or a copy "
                "of it"
            )
        if reason := _unfit(row):
            counts.left_out[reason] += 1
            continue
        counts.pairs += 1
        yield _pair(row)


def _unfit(row: Mapping[str, Any]) -> str | None:
    texts = [str(row[name]).strip() for name in ("context", "task_input", "task_output")]
    made = texts[1] + texts[2]
    if not all(texts):
        return "empty"
    if str(row["task_type"]).strip() not in _SHORT:
        return "task_type_unknown"
    if any(residue in made for residue in _RESIDUE):
        return "template_residue"
    if made.count(CONTEXT_SLOT) != 1:
        return "placeholder_missing"
    return "format_marker" if PIPE in made else None


def _pair(row: Mapping[str, Any]) -> Pair:
    task_type, context = _SHORT[row["task_type"].strip()], row["context"].strip()
    origin = "/".join(str(row[name]) for name in ("dataset", "dataset_config") if row[name])
    return Pair(
        task_type,
        context,
        prompt(context, task_type),
        completion(row["task_input"].strip(), row["task_output"].strip()),
        f"ctga-v1: {origin}",
        f"that of {origin}",
    )
