"""Reads a source through Hugging Face ``datasets``: a hub repository at one commit, or local files.

Scripts and pickles are refused by the library itself (5.2 and later).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion import rendering, rows
from bonito_assets.ingestion.files import SourceError
from bonito_assets.ingestion.items import Item, from_row
from bonito_assets.ingestion.reading import Reading

_BATCH_ROWS = 2048
_BATCH_CHARS = 4_000_000
_LOG_ROWS = 100_000
# The hub's client waits for ever for an answer unless told otherwise.
_HUB_SECONDS = 10.0


@dataclass(frozen=True)
class Opened:
    """A dataset that is there. ``revision`` is its commit, or the digest of its local files.

    It is None where neither can be had (without the hub): then nothing proves it unchanged.
    """

    uri: str
    revision: str | None
    rows: Any

    def batches(
        self, reading: Reading, log: Callable[[str], None]
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Gives rows as ``rendering.SCHEMA``, each time with how many ``where`` left out.

        Raises ``SourceError`` where the library cannot go on.
        """
        held: list[tuple[int, Item]] = []
        chars = left_out = 0
        for number, values in enumerate(self._values(), start=1):
            if number % _LOG_ROWS == 0:
                log(f"rows: {number:,} read")
            if not rows.selected(values, reading):
                left_out += 1
                continue
            # Numbered from 0, as `datasets` itself does.
            row = rows.from_mapping(number - 1, values)
            item = from_row(f"{self.uri}#{row.number}", None, row, reading)
            held.append((0, item))
            chars += len(item.text or "")
            if len(held) >= _BATCH_ROWS or chars >= _BATCH_CHARS:
                yield rendering.rows(held, reading), left_out
                held, chars, left_out = [], 0, 0
        yield rendering.rows(held, reading), left_out

    def _values(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self.rows
        except Exception as error:  # of many kinds, as when it is opened
            raise SourceError(f"source.dataset: '{self.uri}' breaks off: {error}") from error


def open_dataset(corpus: Corpus) -> Opened:
    """Opens the dataset of `corpus`; raises ``SourceError`` when it cannot be had."""
    from datasets import load_dataset, load_from_disk

    wanted = corpus.source.dataset
    assert wanted is not None
    local = Path(corpus.path(wanted.path))
    path = str(local) if local.exists() else wanted.path
    uri = "/".join(part for part in (path, wanted.name, wanted.split) if part)
    try:
        # Before the rows: of a folder that is replaced meanwhile, old rows are then read again,
        # and never taken for the new ones.
        digest_of_files = _local_digest(local) if local.exists() else None
        if (local / "state.json").exists() or (local / "dataset_dict.json").exists():
            saved = load_from_disk(path)
            found = saved[wanted.split] if isinstance(saved, dict) else saved
            return Opened(uri, digest_of_files, found)
        if local.exists():
            # Streamed: what `datasets` prepares of local files it keeps by size and date, and
            # would hand out again after an edit that keeps both.
            found = load_dataset(path, wanted.name, split=wanted.split, streaming=True)
            return Opened(uri, digest_of_files, found)
        revision = _commit(wanted.path, wanted.revision)
        found = load_dataset(
            path,
            wanted.name,
            split=wanted.split,
            revision=revision or wanted.revision,
            streaming=wanted.streaming,
        )
    except Exception as error:  # the library raises many kinds; each means "not there"
        raise SourceError(
            f"corpus '{corpus.name}': source.dataset: '{path}' could not be loaded: {error}"
        ) from error
    return Opened(uri, revision, found)


def _commit(repository: str, revision: str | None) -> str | None:
    """Gives the commit that `revision` means now; None without the hub."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return HfApi().dataset_info(repository, revision=revision, timeout=_HUB_SECONDS).sha
    except (OSError, OfflineModeIsEnabled, HfHubHTTPError):
        return None


def _local_digest(place: Path) -> str:
    sha = hashlib.sha256()
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        sha.update(f"{path.relative_to(place)}\0{content}\0".encode("utf-8", "surrogateescape"))
    return sha.hexdigest()
