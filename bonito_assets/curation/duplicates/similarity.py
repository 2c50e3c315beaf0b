"""The true Jaccard similarity of pairs of texts, and the families that follow from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates.candidates import candidates, firsts
from bonito_assets.curation.duplicates.components import Components
from bonito_assets.curation.duplicates.signatures import WORDS_PER_SHINGLE
from bonito_assets.curation.duplicates.threads import in_order
from bonito_assets.curation.duplicates.words import Hashed, ngrams, word_hashes

# Gives the texts of the rows with these numbers, which are in ascending order.
Texts = Callable[[np.ndarray], pa.Array]

# What one thread takes at once: some milliseconds of work.
_ROWS_AT_ONCE = 1024
# Pairs that were verified in vain come again in other bands. Half as many are remembered: 64 MB.
_SEEN_SLOTS = 1 << 23


def similarities(
    left: np.ndarray,
    right: np.ndarray,
    texts: Texts,
    words_per_shingle: int = WORDS_PER_SHINGLE,
) -> np.ndarray:
    """Gives the Jaccard similarity of the shingles of each pair of rows, from 0 to 1.

    A text without words is like nothing, not even like another one. The texts of all the pairs are
    in memory at once, so hand them over in batches.
    """
    from bonito_assets.curation.duplicates.kernels import jaccard_rows

    if not len(left):
        return np.empty(0)
    order = np.argsort(left, kind="stable")
    rows, places = np.unique(np.concatenate([left[order], right[order]]), return_inverse=True)
    shingles = _shingles(texts(rows), words_per_shingle)
    lefts, rights = places[: len(left)], places[len(left) :]
    found = np.empty(len(left))

    def compare(start: int) -> None:
        part = slice(start, start + _ROWS_AT_ONCE)
        jaccard_rows(shingles.hashes, shingles.offsets, lefts[part], rights[part], found[part])

    for _ in in_order(compare, range(0, len(left), _ROWS_AT_ONCE)):
        pass
    result = np.empty(len(left))
    result[order] = found
    return result


def verified(
    left: np.ndarray,
    right: np.ndarray,
    texts: Texts,
    threshold: float,
    words_per_shingle: int = WORDS_PER_SHINGLE,
) -> np.ndarray:
    """Gives for each pair of rows whether their similarity is at least `threshold`."""
    return similarities(left, right, texts, words_per_shingle) >= threshold


def families(
    bands: np.ndarray,
    texts: Texts,
    threshold: float,
    salt: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    words_per_shingle: int = WORDS_PER_SHINGLE,
) -> np.ndarray:
    """Gives the family of each row, by the number of its first row.

    Two rows are of one family when their similarity is at least `threshold`, or when others lead
    from one to the other by such steps. `bands` are the ``signatures`` of the texts with the same
    `words_per_shingle`; `texts` is asked for candidates only. Rows of different `salt` are never
    compared. With `keys` (``text_keys``), rows of the same words are joined unread.
    """
    components = Components(len(bands))
    rows = np.flatnonzero(bands[:, 0])
    if keys is not None:
        rows, again = firsts(keys, salt, rows)
        components.join(*again)
    join_verified(components, bands, texts, threshold, salt, rows, words_per_shingle)
    return components.labels()


def join_verified(
    components: Components,
    bands: np.ndarray,
    texts: Texts,
    threshold: float,
    salt: np.ndarray | None,
    rows: np.ndarray,
    words_per_shingle: int,
) -> None:
    """Joins in `components` those of `rows` whose similarity is at least `threshold`."""
    from bonito_assets.curation.duplicates.kernels import unseen_pairs

    # Zeros cost no memory before they are written to.
    seen, count = np.zeros(_SEEN_SLOTS, np.uint64), 0
    for left, right in candidates(bands, salt, components, rows):
        pairs = left.astype(np.uint64) * np.uint64(len(bands)) + right.astype(np.uint64)
        new = np.empty(len(pairs), bool)
        count = unseen_pairs(seen, count, pairs, new)
        left, right = left[new], right[new]
        alike = verified(left, right, texts, threshold, words_per_shingle)
        components.join(left[alike], right[alike])


def _shingles(texts: pa.Array | pa.ChunkedArray, words_per_shingle: int) -> Hashed:
    """Gives the hashes of the shingles of each text."""
    parts = list(
        in_order(
            lambda start: ngrams(word_hashes(texts.slice(start, _ROWS_AT_ONCE)), words_per_shingle),
            range(0, len(texts), _ROWS_AT_ONCE),
        )
    )
    counts = [np.diff(part.offsets) for part in parts]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([[], *counts]))])
    return Hashed(
        offsets.astype(np.int64),
        np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)]),
    )
