"""From the published dataset to token ids with the answer marked, every row accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bonito_assets.tuning.prompts import IGNORED, Encoder

_COLUMNS = ["generation_id", "chunk_id", "input", "output"]


@dataclass
class Examples:
    """Token ids and labels of the rows that fit, and the ids of those that do not.

    ``labels`` equal ``input_ids`` on the answer and its end token, ``IGNORED`` on the prompt.
    """

    input_ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    shortened: int = 0
    left_out: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.input_ids)


def read_split(dataset: Path, split: str) -> list[dict[str, Any]]:
    """Gives the rows of one split of a published dataset; none when it has no such split."""
    path = dataset / "data" / f"{split}.parquet"
    return pq.read_table(path, columns=_COLUMNS).to_pylist() if path.exists() else []


def examples(
    rows: Iterable[Mapping[str, Any]], passages: Mapping[str, str], encoder: Encoder, budget: int
) -> Examples:
    """Gives `rows` as examples of at most `budget` tokens, prompt and answer together.

    Where that takes shortening, the passage (`passages` by chunk_id) loses its end. A row whose
    question and answer alone are too long is left out and named.
    """
    result = Examples()
    for row in rows:
        answer = encoder.answer(row["output"])
        passage = passages.get(row["chunk_id"], "")
        fitted = encoder.fit(row["input"], passage, len(answer), budget)
        if fitted is None:
            result.left_out.append(row["generation_id"])
            continue
        prompt = encoder.prompt(fitted.text)
        result.input_ids.append(prompt + answer)
        result.labels.append([IGNORED] * len(prompt) + answer)
        result.shortened += fitted.removed_chars > 0
    return result
