"""Families of texts that are more than memory holds, read twice from where they lie.

The first reading leaves 208 bytes a row, the band keys in a file that is mapped to memory. The
second one copies the texts that share a key with another one into a file, from which they are
fetched as pairs come up. Both files lie in the folder that is given, and go at the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates.candidates import firsts, repeated
from bonito_assets.curation.duplicates.components import Components
from bonito_assets.curation.duplicates.signatures import BANDS, WORDS_PER_SHINGLE, signed
from bonito_assets.curation.duplicates.similarity import join_verified
from bonito_assets.curation.duplicates.words import text_buffers


def streamed_families(
    read: Callable[[], Iterable[pa.Array | pa.ChunkedArray]],
    rows: int,
    threshold: float,
    folder: Path,
    words_per_shingle: int = WORDS_PER_SHINGLE,
) -> np.ndarray:
    """Gives what ``families`` gives for the `rows` texts that each call of `read` goes through."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        bands = np.memmap(Path(place, "bands"), np.uint64, "w+", shape=(BANDS, max(1, rows)))
        keys = np.empty(rows, np.uint64)
        at = 0
        for texts in read():
            made = signed(texts, words_per_shingle)
            here = slice(at, at + len(texts))
            bands[:, here], keys[here] = made.bands.T, made.keys
            at += len(texts)
        components = Components(rows)
        once, again = firsts(keys, None, np.flatnonzero(bands[0, :rows]))
        components.join(*again)
        wanted = repeated(bands.T, None, once)
        with CopiedTexts(Path(place, "texts"), wanted) as texts:
            at = 0
            for batch in read():
                texts.add(batch, at)
                at += len(batch)
            join_verified(components, bands.T, texts, threshold, None, wanted, words_per_shingle)
        return components.labels()


class CopiedTexts:
    """The texts of some rows in a file; called with row numbers, it gives their texts."""

    def __init__(self, path: Path, rows: np.ndarray) -> None:
        self._rows, self._ends, self._filled = rows, np.zeros(len(rows) + 1, np.int64), 0
        self._file = path.open("w+b")

    def __enter__(self) -> CopiedTexts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, texts: pa.Array | pa.ChunkedArray, first: int) -> None:
        """Takes the next texts; `first` is the row number of the first of them."""
        start, end = np.searchsorted(self._rows, [first, first + len(texts)])
        for data, starts in text_buffers(texts.take(pa.array(self._rows[start:end] - first))):
            self._file.write(data[starts[0] : starts[-1]].data)
            count = len(starts) - 1
            ends = starts[1:] - starts[0] + self._ends[self._filled]
            self._ends[self._filled + 1 : self._filled + 1 + count] = ends
            self._filled += count

    def __call__(self, rows: np.ndarray) -> pa.Array:
        """Gives the texts of `rows`, which must be among those of the file."""
        self._file.flush()
        places = np.searchsorted(self._rows, rows)
        starts, ends = self._ends[places], self._ends[places + 1]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends - starts)])
        file = self._file.fileno()
        # Read and not mapped: pages of a mapped file would count as memory of this process.
        data = b"".join(
            map(os.pread, [file] * len(rows), (ends - starts).tolist(), starts.tolist())
        )
        return pa.LargeStringArray.from_buffers(
            len(rows), pa.py_buffer(offsets), pa.py_buffer(data)
        )
