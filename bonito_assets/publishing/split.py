"""Splits a dataset by document, so that no passage of one split stands in the other."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Border:
    """Where validation ends: documents whose place is at most ``last`` are in it, None = none."""

    last: tuple[float, str] | None

    def in_validation(self, doc_ids: pa.Array) -> pa.Array:
        """Gives for each row whether its document is in the validation split."""
        named = doc_ids.dictionary_encode()
        sides = [self.holds(doc_id) for doc_id in named.dictionary.to_pylist()]
        return pa.array(sides, pa.bool_()).take(named.indices)

    def holds(self, doc_id: str) -> bool:
        """Tells whether one document is in the validation split."""
        return self.last is not None and place(doc_id) <= self.last


def border(doc_ids: Iterable[pa.Array]) -> Border:
    """Gives the border that puts about a tenth of the documents into validation, one at least.

    A document's side comes from its own id, so that others coming and going do not move it. Only
    where that would leave a split empty, the document nearest to the border changes sides; a
    single document makes no validation split. Of all documents only the first and the last places
    are held, so millions of them cost nothing.
    """
    first: list[tuple[float, str]] = []
    last: list[tuple[float, str]] = []
    for batch in doc_ids:
        places = {place(doc_id) for doc_id in batch.unique().to_pylist()}
        first = heapq.nsmallest(1, places.union(first))
        last = heapq.nlargest(2, places.union(last))
    if len(last) < 2:
        return Border(None)
    if first[0][0] >= VALIDATION_SHARE:
        return Border(first[0])
    if last[0][0] < VALIDATION_SHARE:
        return Border(last[1])
    return Border((VALIDATION_SHARE, ""))


def place(doc_id: str) -> tuple[float, str]:
    """Gives a number from 0 to 1, evenly spread over ids, and the id for the case of a tie."""
    number = int.from_bytes(hashlib.sha256(f"split:{doc_id}".encode()).digest()[:8], "big")
    return number / 2**64, doc_id
