"""Writes a release: the rows in two splits, their version, and the history of earlier releases.

A release is a folder that stands for itself: rows, card, books, manifest and checksums. The newest
one is what opens at the dataset's own place; all of them lie under ``releases/<version>``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bonito_assets.identity import digest
from bonito_assets.publishing.rows import SCHEMA
from resources.store import Digest, rebatched

RELEASE = "release.json"
RELEASES = "releases"
# Under this name a release says how many rows were forgotten from it, and which versions it had
# before: `rows` and `was`.
FORGOTTEN = "forgotten"
SPLITS = ("train", "validation")
# About 30 MB of rows with passages of 2,000 characters: what a reader holds at once.
ROW_GROUP_ROWS = 8192
_LAYOUT = {
    "compression": "zstd",
    "write_page_checksum": True,
    # The hub's viewer finds single rows by it.
    "write_page_index": True,
    # Pages end where the content says so and not after so many bytes: of the next release a store
    # that knows this one takes only what is new.
    "use_content_defined_chunking": True,
    "use_dictionary": ["task_type", "corpus", "doc_id", "chunk_id", "messages.list.element.role"],
}


@dataclass(frozen=True)
class Rows:
    """What was written: rows per split that holds any, and the digest of their content."""

    splits: dict[str, int]
    version: str

    @property
    def total(self) -> int:
        """Gives the rows of all splits."""
        return sum(self.splits.values())


class _Split:
    """One Parquet file in the making, in row groups of one size whatever size rows come in."""

    def __init__(self, path: Path) -> None:
        self.content = Digest(SCHEMA)
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting = SCHEMA.empty_table()

    def add(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._waiting = pa.concat_tables([self._waiting, pa.Table.from_batches([batch])])
            while self._waiting.num_rows >= ROW_GROUP_ROWS:
                self._write(ROW_GROUP_ROWS)

    def close(self) -> None:
        if self._waiting.num_rows:
            self._write(self._waiting.num_rows)
        if self._writer is not None:
            self._writer.close()

    def _write(self, rows: int) -> None:
        if self._writer is None:
            self._path.parent.mkdir(exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, SCHEMA, **_LAYOUT)
        # In one piece, so that equal rows give equal bytes.
        group = self._waiting.slice(0, rows).combine_chunks()
        self._writer.write_table(group, row_group_size=rows)
        add_rows(self.content, group)
        self._waiting = self._waiting.slice(rows).combine_chunks()


def add_rows(content: Digest, group: pa.Table) -> None:
    """Adds a row group to a digest."""
    for batch in rebatched(group):
        content.add(batch)


def write_rows(folder: Path, rows: Iterable[tuple[pa.RecordBatch, pa.Array]]) -> Rows:
    """Writes rows, each batch with whether its rows are in validation, as Parquet under `folder`.

    Equal rows in equal order give files with equal bytes. A split without rows has no file.
    """
    files = {split: _Split(data_file(folder, split)) for split in SPLITS}
    for batch, in_validation in rows:
        files["train"].add(batch.filter(pc.invert(in_validation)))
        files["validation"].add(batch.filter(in_validation))
    for file in files.values():
        file.close()
    counts = {split: file.content.rows for split, file in files.items() if file.content.rows}
    version = digest(*(file.content.hexdigest() for file in files.values()))[:16]
    return Rows(counts, version)


def data_file(folder: Path, split: str) -> Path:
    """Gives the place of one split in a release."""
    return folder / "data" / f"{split}.parquet"


def data_files(folder: Path) -> dict[str, Path]:
    """Gives the Parquet files of a release by split."""
    return {s: data_file(folder, s) for s in SPLITS if data_file(folder, s).exists()}


def record(folder: Path) -> dict[str, Any]:
    """Gives the content of the ``release.json`` of a release."""
    return json.loads((folder / RELEASE).read_text(encoding="utf-8"))


def first_published(version: str, previous: Path | None) -> tuple[str, str | None]:
    """Gives when a release came to be (ISO 8601, UTC) and the version that it follows, if any.

    Published again with nothing changed, it keeps both, so that its files keep their bytes.
    """
    last = record(previous) if previous is not None else None
    if last is not None and last["version"] == version and "created_at" in last:
        return last["created_at"], last["follows"]
    return datetime.now(UTC).isoformat(), last["version"] if last else None


def keep(folder: Path, version: str, previous: Path | None) -> None:
    """Puts the finished release in `folder` under its version too, beside those of `previous`.

    Hard links: a release is never changed, so history costs no space.
    """
    own = folder / RELEASES / version
    if previous is not None and (previous / RELEASES).is_dir():
        shutil.copytree(previous / RELEASES, folder / RELEASES, copy_function=link)
        shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != RELEASES:
            shutil.copytree(path, own / path.name, copy_function=link)
        elif path.is_file():
            link(str(path), str(own / path.name))


def history(folder: Path) -> list[dict[str, Any]]:
    """Gives the records of all releases of a published dataset, in the order of publication."""
    found = [record(path) for path in (folder / RELEASES).iterdir()]
    # Those of the first versions of this program tell no time; they are older than all others.
    return sorted(found, key=lambda release: release.get("created_at", ""))


def link(source: str, target: str) -> str:
    """Makes `target` another name of the file `source`, or a copy; gives `target`."""
    try:
        os.link(source, target)
    except OSError:  # a filesystem without hard links
        shutil.copy2(source, target)
    return target
