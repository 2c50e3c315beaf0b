"""From the published dataset to token ids with the answer marked, every row accounted for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.prompts import IGNORED, Encoder

COLUMNS = ["generation_id", "chunk_id", "input", "output"]


@dataclass
class Examples:
    """Token ids and labels of the rows that fit, and the ids of those that do not.

    ``labels`` equal ``input_ids`` on the answer and its end token, ``IGNORED`` on the prompt.
    Arrays of four bytes per token: as Python lists, 160,000 rows would take gigabytes.
    """

    input_ids: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    shortened: int = 0
    left_out: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.input_ids)

    def add(self, prompt: list[int], answer: list[int]) -> None:
        """Takes one example; only `answer` carries loss."""
        self.input_ids.append(np.array(prompt + answer, dtype=np.int32))
        self.labels.append(np.array([IGNORED] * len(prompt) + answer, dtype=np.int32))

    @property
    def lengths(self) -> list[int]:
        """Gives the tokens of each example."""
        return [len(ids) for ids in self.input_ids]

    def digest(self) -> str:
        """Gives the sha256 over all ids and labels as a hex digest."""
        sha = hashlib.sha256()
        for ids, labels in zip(self.input_ids, self.labels, strict=True):
            sha.update(len(ids).to_bytes(4, "little") + ids.tobytes() + labels.tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Split:
    """Rows of a split, and how many it holds in all."""

    rows: list[dict[str, Any]]
    of: int


def split_path(dataset: Path, split: str) -> Path:
    """Gives the place of a split's rows in a published dataset."""
    return dataset / "data" / f"{split}.parquet"


def read_split(dataset: Path, split: str, most: int | None = None, seed: int = 0) -> Split:
    """Gives the rows of one split of a published dataset; none when it has no such split.

    Of a split with more than `most` rows so many are drawn by `seed`, and read without holding
    the others. Raises ``TuningError`` when the folder is not that of a dataset or its file
    cannot be read.
    """
    if not (dataset / "data").is_dir():
        raise TuningError(
            f"{dataset} holds no folder 'data'; materialize the asset that publishes it again"
        )
    path = split_path(dataset, split)
    if not path.exists():
        return Split([], 0)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            number = file.metadata.num_rows
            drawn = None
            if most is not None and most < number:
                drawn = np.zeros(number, dtype=bool)
                drawn[np.random.default_rng(seed).choice(number, most, replace=False)] = True
            return Split(list(_rows(file, drawn)), number)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise TuningError(
            f"{path} is damaged ({str(error).splitlines()[0]}); materialize the asset that "
            "publishes it again"
        ) from error


def _rows(file: pq.ParquetFile, drawn: np.ndarray | None) -> Iterator[dict[str, Any]]:
    missing = set(COLUMNS) - set(file.schema_arrow.names)
    if missing:
        raise pa.ArrowInvalid(f"it has no column {sorted(missing)[0]}")
    start = 0
    for batch in file.iter_batches(columns=COLUMNS):
        wanted = None if drawn is None else drawn[start : start + batch.num_rows]
        start += batch.num_rows
        yield from (batch if wanted is None else batch.filter(pa.array(wanted))).to_pylist()


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
        result.add(encoder.prompt(fitted.text), answer)
        result.shortened += fitted.removed_chars > 0
    return result


def blocks(
    texts: Iterable[str], encoder: Encoder, budget: int, most: int | None = None
) -> Examples:
    """Gives `texts`, one after the other, in blocks of `budget` tokens that all carry loss.

    The last block is as long as it comes out. Of more than `most` blocks only the first are made.
    """
    result = Examples()
    waiting: list[int] = []
    for text in texts:
        waiting += encoder.passage(text)
        while len(waiting) >= budget and len(result) != most:
            result.add([], waiting[:budget])
            waiting = waiting[budget:]
        if len(result) == most:
            return result
    # The first token of a block is predicted from nothing, so one token alone teaches nothing.
    if len(waiting) > 1:
        result.add([], waiting)
    return result
