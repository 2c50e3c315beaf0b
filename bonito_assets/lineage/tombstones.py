"""Documents that a person asked to forget: what keeps them out, and nothing of what they said.

Layout: ``<root>/forgotten/<corpus>.json``. A document is known by its id and by digests of its
content, so that it stays out when it is edited at the source and when it comes again as a copy
under another name. To take one in again its entry is removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.core import url_to_fs

from resources.store import Store

FOLDER = "forgotten"
VERDICT = "forgotten"
_SENTENCE = "a person asked to forget it"
# What the row of a forgotten document keeps: by these it is known, and the source lists it still.
_KEPT = ("corpus", "doc_id", "uri")


@dataclass(frozen=True)
class Tombstone:
    """One forgotten document: its id, digests of its content, and who asked when and why.

    ``text_digest`` and ``content_sha256`` are those of its row in `documents`, None where it was
    never read. ``run_id`` is the Dagster run that forgot it.
    """

    doc_id: str
    text_digest: str | None
    content_sha256: str | None
    forgotten_at: str
    reason: str
    run_id: str


@dataclass(frozen=True)
class UnderWay:
    """What a `forget` has begun and not finished, so that the next one can finish it.

    ``fingerprints`` are digests of stretches of the text, by which it is searched for at the end
    (see ``forget.fingerprints``): the text itself is gone by then.
    """

    doc_ids: list[str]
    reason: str
    fingerprints: list[str]


@dataclass(frozen=True)
class Tombstones:
    """The forgotten documents of one corpus."""

    stones: tuple[Tombstone, ...] = ()
    under_way: UnderWay | None = None
    _by_id: dict[str, Tombstone] = field(init=False, repr=False, compare=False)
    _by_content: dict[str, Tombstone] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digests = [(d, s) for s in self.stones for d in (s.text_digest, s.content_sha256) if d]
        object.__setattr__(self, "_by_id", {stone.doc_id: stone for stone in self.stones})
        object.__setattr__(self, "_by_content", dict(digests))

    @classmethod
    def read(cls, store: Store, corpus: str) -> Tombstones:
        """Gives those of `corpus`; none where nothing was ever forgotten."""
        path = place(store, corpus)
        if not store.filesystem.exists(path):
            return cls()
        with store.filesystem.open(path, "rb") as file:
            found = json.load(file)
        under_way = found["under_way"] and UnderWay(**found["under_way"])
        return cls(tuple(Tombstone(**stone) for stone in found["documents"]), under_way)

    def write(self, store: Store, corpus: str) -> None:
        """Replaces those of `corpus`, in one step and on disk."""
        content = {
            "documents": [asdict(stone) for stone in self.stones],
            "under_way": self.under_way and asdict(self.under_way),
        }
        with store.new_file(FOLDER, f"{corpus}.json") as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())

    def with_stones(self, stones: Iterable[Tombstone], under_way: UnderWay | None) -> Tombstones:
        """Gives these and `stones`; a document that was forgotten before keeps its first entry."""
        new = [stone for stone in stones if stone.doc_id not in self._by_id]
        return Tombstones((*self.stones, *new), under_way)

    def without(self, doc_ids: Iterable[str]) -> Tombstones:
        """Gives these without the documents `doc_ids`, whose forgetting then is not finished."""
        taken_back = set(doc_ids)
        under_way = self.under_way
        if under_way is not None:
            left = [doc_id for doc_id in under_way.doc_ids if doc_id not in taken_back]
            under_way = replace(under_way, doc_ids=left) if left else None
        stones = tuple(stone for stone in self.stones if stone.doc_id not in taken_back)
        return Tombstones(stones, under_way)

    def with_copies(self, doc_ids: Iterable[str]) -> set[str]:
        """Gives the forgotten documents `doc_ids` and those known by the same content."""
        named = [self._by_id[doc_id] for doc_id in doc_ids]
        contents = {d for stone in named for d in (stone.text_digest, stone.content_sha256) if d}
        return {stone.doc_id for stone in named} | {
            stone.doc_id
            for stone in self.stones
            if contents.intersection((stone.text_digest, stone.content_sha256))
        }

    def finished(self) -> Tombstones:
        """Gives these with nothing under way any longer."""
        return Tombstones(self.stones)

    @property
    def doc_ids(self) -> set[str]:
        """Gives the ids of the forgotten documents."""
        return set(self._by_id)

    def of(
        self, doc_id: str, text_digest: str | None, content_sha256: str | None
    ) -> Tombstone | None:
        """Gives the entry that keeps a document out; None for one that is welcome."""
        return (
            self._by_id.get(doc_id)
            or self._by_content.get(text_digest or "")
            or self._by_content.get(content_sha256 or "")
        )

    def applied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Gives rows of `documents` in which the forgotten ones have nothing but their verdict."""
        names = ("doc_id", "text_digest", "content_sha256")
        found = [
            self.of(*row) for row in zip(*(batch[name].to_pylist() for name in names), strict=True)
        ]
        return emptied(batch, found)


def emptied(batch: pa.RecordBatch, stones: Sequence[Tombstone | None]) -> pa.RecordBatch:
    """Gives rows of `documents`, those with an entry in `stones` without all that they said.

    Such a row is always the same, whatever the source now holds: it keeps id and uri, and of the
    digests that of the entry, by which a copy under another name is known the next time too.
    """
    if not any(stones):
        return batch
    gone = np.array([stone is not None for stone in stones])
    rows = pa.array(np.where(gone, -1, np.arange(len(stones))), mask=gone)
    said = {
        "text_digest": [stone.text_digest if stone else None for stone in stones],
        "error": [_SENTENCE if stone else None for stone in stones],
        "rejected_because": [VERDICT if stone else None for stone in stones],
    }
    columns = []
    for name in batch.schema.names:
        column = batch[name]
        if name not in _KEPT:
            column = column.take(rows)
        if name in said:
            new = pa.array(said[name], column.type)
            column = pc.if_else(pa.array(gone), new, column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def place(store: Store, corpus: str) -> str:
    """Gives the path of the tombstones of `corpus` inside the store's filesystem."""
    return url_to_fs(store.uri(FOLDER, f"{corpus}.json"))[1]
