"""Opens a data set: a JSONL or Parquet file, a folder that ``datasets`` reads, or a hub id."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.model import is_path

# The hub's client waits for ever for an answer unless told otherwise.
_HUB_SECONDS = 10.0


@dataclass(frozen=True)
class DataSet:
    """Where annotated rows are; ``name`` is the configuration of a hub data set."""

    path: str
    name: str | None = None
    split: str = "train"
    revision: str | None = None

    @property
    def title(self) -> str:
        """Gives path, configuration and split in one."""
        return "/".join(part for part in (self.path, self.name, self.split) if part)


@dataclass(frozen=True)
class Opened:
    """Rows that are there. ``version`` is the hub commit, or the sha256 of a file.

    ``classes`` are the names of integer labels by column, where the data set states them.
    """

    rows: Iterable[dict[str, Any]]
    version: str | None
    classes: dict[str, list[str]]


@dataclass
class Counts:
    """What became of the rows of one data set: read, made into pairs, left out by reason."""

    version: str | None = None
    rows: int = 0
    pairs: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def drawn(
    rows: Iterable[dict[str, Any]], limit: int | None, rng: random.Random, counts: Counts
) -> Iterator[dict[str, Any]]:
    """Gives `limit` rows, each as likely as any other, in order of reading; all without a limit."""
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, row in enumerate(rows):
        counts.rows += 1
        if limit is None:
            yield row
        elif len(kept) < limit:
            kept.append((number, row))
        elif (place := rng.randrange(number + 1)) < limit:  # reservoir sampling
            kept[place] = (number, row)
    yield from (row for _, row in sorted(kept, key=lambda numbered: numbered[0]))


def opened(data_set: DataSet) -> Opened:
    """Opens `data_set`; raises ``ValueError`` that names it and the remedy when it is not there."""
    path = Path(data_set.path).expanduser()
    if path.is_file():
        return Opened(file_rows(path), sha256(path), {})
    if is_path(data_set.path) and not path.is_dir():
        raise ValueError(f"{data_set.path}: no such file or folder; correct `path`")
    from datasets import load_dataset, load_from_disk

    try:
        if path.is_dir():
            version = None
            if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
                found = load_from_disk(str(path))
                found = found[data_set.split] if isinstance(found, dict) else found
            else:
                found = load_dataset(str(path), data_set.name, split=data_set.split)
        else:
            version = _commit(data_set)
            found = load_dataset(
                data_set.path, data_set.name, split=data_set.split, revision=version
            )
    except Exception as error:  # the libraries raise many kinds; each means "not there"
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{data_set.title}: could not be loaded: {cause}; check path, name and split and the "
            "network, or download it elsewhere and give the folder or file as `path`"
        ) from error
    return Opened(found, version, _classes(found))


def _commit(data_set: DataSet) -> str | None:
    from huggingface_hub import HfApi

    asked = HfApi().dataset_info(data_set.path, revision=data_set.revision, timeout=_HUB_SECONDS)
    return asked.sha


def _classes(rows: Any) -> dict[str, list[str]]:
    from datasets import ClassLabel

    features = rows.features or {}
    return {
        column: list(feature.names)
        for column, feature in features.items()
        if isinstance(feature, ClassLabel)
    }


def file_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a JSONL (``.gz`` too) or Parquet file; ``ValueError`` for another kind."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{path}: line {number} is no JSON: {error}") from error
    else:
        raise ValueError(f"{path}: is neither .jsonl (or .jsonl.gz) nor .parquet; convert it")


def sha256(path: Path) -> str:
    """Gives the sha256 of a file as a hex digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
