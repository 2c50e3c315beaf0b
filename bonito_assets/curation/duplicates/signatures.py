"""MinHash signatures of texts: keys that texts of much the same shingles are likely to share.

The least value of a random permutation of a text's shingles is that of another text with the odds
of their Jaccard similarity J (Broder 1997). Five such values make the key of a band, and two texts
are candidates when the keys of any of 25 bands agree: with odds of 1 - (1 - J**5)**25, which is
0.99995 at J = 0.8, 0.99 at 0.7, 0.54 at 0.5 and 0.06 at 0.3 (Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, 3.4). A key that agrees is no proof; ``similarity`` verifies.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates.alphabet import alphabet
from bonito_assets.curation.duplicates.threads import in_order
from bonito_assets.curation.duplicates.words import WORDS_PER_BYTE, slices, text_buffers

BANDS = 25
ROWS_PER_BAND = 5
WORDS_PER_SHINGLE = 5
# Text that one thread signs at once: some milliseconds of work.
_BYTES_AT_ONCE = 1 << 20


class Signed(NamedTuple):
    """The band keys and the text key (as ``text_keys``) of each text."""

    bands: np.ndarray
    keys: np.ndarray


def signatures(
    texts: pa.Array | pa.ChunkedArray, words_per_shingle: int = WORDS_PER_SHINGLE
) -> np.ndarray:
    """Gives the band keys of each text, as an array of ``len(texts)`` by ``BANDS``.

    They are the same on every machine, and 0 only for a text without words. A text of fewer words
    than a shingle has one shingle of them all.
    """
    return signed(texts, words_per_shingle).bands


def signed(texts: pa.Array | pa.ChunkedArray, words_per_shingle: int = WORDS_PER_SHINGLE) -> Signed:
    """Gives the band keys and the text key of each text, read once for both.

    Raises ``ValueError`` for shingles of less than one word.
    """
    from bonito_assets.curation.duplicates.kernels import sign_rows

    if words_per_shingle < 1:
        raise ValueError(f"a shingle has at least one word, not {words_per_shingle}")
    # Band by band, for that is how they are read.
    bands = np.empty((BANDS, len(texts)), np.uint64)
    keys = np.empty(len(texts), np.uint64)
    tables, multipliers = alphabet(), _multipliers()

    def sign(part: tuple[np.ndarray, np.ndarray, int]) -> None:
        data, starts, row = part
        out = slice(row, row + len(starts) - 1)
        sign_rows(data, starts, *tables, WORDS_PER_BYTE, words_per_shingle, multipliers,
                  ROWS_PER_BAND, bands[:, out], keys[out])  # fmt: skip

    parts, row = [], 0
    for data, starts in text_buffers(texts):
        for first, last in slices(starts, _BYTES_AT_ONCE):
            parts.append((data, starts[first : last + 1], row + first))
        row += len(starts) - 1
    for _ in in_order(sign, parts):
        pass
    return Signed(bands.T, keys)


@functools.cache
def _multipliers() -> np.ndarray:
    """Gives an odd number of 32 bits for each permutation, by SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = np.arange(1, BANDS * ROWS_PER_BAND + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
