"""Texts as hashes of their words: case, punctuation, line breaks and Unicode forms drop out.

A word is a run of letters, digits and their marks; in scripts without blanks each letter is one
(see ``alphabet``). Signs are no words: "$5", "-5" and "5?" are all the word 5. A hash has 64 bits:
that two of N different things share one has odds of N**2 / 2**65, one in 370,000 for ten million.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.curation.duplicates.alphabet import alphabet

# Text read at once: its hashes stay in the cache of a core until they are copied into place.
_BYTES_AT_ONCE = 1 << 18
# The most words that a byte can hold: U+3316 has three bytes and stands for six kana.
WORDS_PER_BYTE = 3


class Hashed(NamedTuple):
    """Hashes of each row, in order: row i has ``hashes[offsets[i]:offsets[i + 1]]``."""

    offsets: np.ndarray
    hashes: np.ndarray


def word_hashes(texts: pa.Array | pa.ChunkedArray) -> Hashed:
    """Gives the hashes of the words of each text, in order.

    A null has no words. The hashes are the same on every machine; only letters that a later
    version of Unicode adds are read otherwise by a Python that knows them.
    Raises ``TypeError`` for an array that is not of strings.
    """
    from bonito_assets.curation.duplicates.kernels import read_rows

    tables = alphabet()
    ends, parts = [np.zeros(1, np.int64)], [np.zeros(0, np.uint64)]
    total = 0
    for data, starts in text_buffers(texts):
        scratch = np.empty(0, np.uint64)
        for first, last in slices(starts, _BYTES_AT_ONCE):
            need = int(starts[last] - starts[first]) * WORDS_PER_BYTE
            if need > len(scratch):
                scratch = np.empty(need, np.uint64)
            end = np.empty(last - first, np.int64)
            read_rows(data, starts[first : last + 1], *tables, scratch, end)
            parts.append(scratch[: end[-1]].copy())
            ends.append(end + total)
            total += int(end[-1])
    return Hashed(np.concatenate(ends), np.concatenate(parts))


def ngrams(words: Hashed, n: int) -> Hashed:
    """Gives the hash of every run of `n` words of each text, in order, repeated ones too.

    A text of fewer words gives one run of them all, a text without words none.
    Raises ``ValueError`` for `n` below 1.
    """
    from bonito_assets.curation.duplicates.kernels import gram_rows

    if n < 1:
        raise ValueError(f"an n-gram has at least one word, not {n}")
    counts = np.diff(words.offsets)
    counts = np.where(counts, np.maximum(counts - n + 1, 1), 0)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    hashes = np.empty(offsets[-1], np.uint64)
    gram_rows(words.hashes, words.offsets, n, hashes, offsets[1:])
    return Hashed(offsets, hashes)


def text_keys(words: Hashed) -> np.ndarray:
    """Gives one 64-bit key per text: texts of the same words in the same order share it."""
    from bonito_assets.curation.duplicates.kernels import key_rows

    keys = np.empty(len(words.offsets) - 1, np.uint64)
    key_rows(words.hashes, words.offsets, keys)
    return keys


def text_buffers(texts: pa.Array | pa.ChunkedArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Gives the bytes of each chunk of `texts`, uncopied, and where its rows start and end.

    Raises ``TypeError`` for an array that is not of strings.
    """
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        if pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_decode()
        if pa.types.is_string_view(chunk.type) or pa.types.is_null(chunk.type):
            chunk = chunk.cast(pa.large_string())
        if not (pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type)):
            raise TypeError(f"texts are strings, not {chunk.type}")
        if chunk.null_count:
            # What stands in the buffer for a null is nobody's business.
            chunk = pc.fill_null(chunk, "")
        if not len(chunk):
            continue
        _, offsets, data = chunk.buffers()
        wide = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
        starts = np.frombuffer(offsets, wide)[chunk.offset : chunk.offset + len(chunk) + 1]
        yield np.frombuffer(data or b"", np.uint8), starts.astype(np.int64)


def slices(starts: np.ndarray, size: int) -> Iterator[tuple[int, int]]:
    """Gives stretches of rows of about `size` bytes, by their first row and the one after."""
    first, rows = 0, len(starts) - 1
    while first < rows:
        last = int(np.searchsorted(starts, starts[first] + size, "right")) - 1
        last = min(max(last, first + 1), rows)
        yield first, last
        first = last
