"""Splits a dataset by document, so that no passage of one split stands in the other."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

VALIDATION_SHARE = 0.1


def validation_documents(doc_ids: Collection[str]) -> set[str]:
    """Gives the documents of the validation split, about a tenth, at least one of two or more.

    A document's side comes from its own id, so that others coming and going do not move it. Only
    where that would leave a split empty, the document nearest to the border changes sides.
    """
    places = sorted((_place(doc_id), doc_id) for doc_id in set(doc_ids))
    chosen = {doc_id for place, doc_id in places if place < VALIDATION_SHARE}
    if len(places) < 2:
        return set()
    if not chosen:
        return {places[0][1]}
    if len(chosen) == len(places):
        return chosen - {places[-1][1]}
    return chosen


def _place(doc_id: str) -> float:
    """Gives a number from 0 to 1, evenly spread over ids."""
    return int.from_bytes(hashlib.sha256(f"split:{doc_id}".encode()).digest()[:8], "big") / 2**64
