"""Builds and writes a release: the accepted rows in two splits, with a card and a manifest."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bonito_assets.identity import digest
from bonito_assets.publishing.split import validation_documents
from resources.store import digest as table_digest

_PROVENANCE = ["corpus", "doc_id", "chunk_id", "generation_id", "start_char", "end_char"]
_MESSAGE = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@dataclass(frozen=True)
class Release:
    """The rows of one release; ``version`` is the digest of its content."""

    train: pa.Table
    validation: pa.Table
    version: str

    @property
    def splits(self) -> dict[str, pa.Table]:
        """Gives the splits that hold rows: one document alone makes no validation split."""
        both = {"train": self.train, "validation": self.validation}
        return {name: rows for name, rows in both.items() if rows.num_rows}


def build(curated: pa.Table, chunks: pa.Table) -> Release:
    """Gives the release made of the accepted rows of `curated`."""
    accepted = curated.filter(curated["rejected_because"].is_null())
    offsets = {
        row["chunk_id"]: row
        for row in chunks.select(["chunk_id", "start_char", "end_char"]).to_pylist()
    }
    rows = accepted.select(["input", "output", "task_type", *_PROVENANCE[:4]])
    rows = rows.append_column("messages", _messages(rows))
    for name in ("start_char", "end_char"):
        values = [offsets[chunk_id][name] for chunk_id in rows["chunk_id"].to_pylist()]
        rows = rows.append_column(name, pa.array(values, pa.int64()))
    rows = rows.select(["input", "output", "task_type", "messages", *_PROVENANCE])
    held_out = validation_documents(set(rows["doc_id"].to_pylist()))
    in_validation = pc.is_in(rows["doc_id"], pa.array(sorted(held_out), pa.string()))
    train, validation = rows.filter(pc.invert(in_validation)), rows.filter(in_validation)
    version = digest(table_digest(train), table_digest(validation))[:16]
    return Release(train, validation, version)


def write(release: Release, card: str, folder: Path, previous: Path | None) -> None:
    """Writes `release` into the empty `folder`; earlier releases come along from `previous`."""
    own = folder / "releases" / release.version
    if previous is not None and (previous / "releases").is_dir():
        # Hard links: a release is never changed, so history costs no space.
        shutil.copytree(previous / "releases", folder / "releases", copy_function=_link)
        shutil.rmtree(own, ignore_errors=True)
    (own / "data").mkdir(parents=True)
    for split, rows in release.splits.items():
        pq.write_table(rows, own / "data" / f"{split}.parquet", compression="zstd")
    (own / "README.md").write_text(card, encoding="utf-8")
    manifest = {
        "version": release.version,
        "splits": {split: rows.num_rows for split, rows in release.splits.items()},
    }
    (own / "release.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for path in own.iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name, copy_function=_link)
        else:
            _link(str(path), str(folder / path.name))


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # a filesystem without hard links
        shutil.copy2(source, target)
    return target


def _messages(rows: pa.Table) -> pa.Array:
    return pa.array(
        [
            [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            for question, answer in zip(
                rows["input"].to_pylist(), rows["output"].to_pylist(), strict=True
            )
        ],
        _MESSAGE,
    )
