"""Keys of exact contents: 64 bits by which a row or an id is known again, fast.

Two of N different things share a key with odds of N**2 / 2**65: one in 370,000 for ten million.
"""
# ruff: noqa: ANN001, ANN202 - compiled loops take whatever numba makes of their arguments

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bonito_assets.curation.duplicates.kernels import compiled, finish
from bonito_assets.curation.duplicates.words import text_buffers

_SEED = 0x243F6A8885A308D3  # digits of pi
_STEP = np.uint64(0x9E3779B97F4A7C13)
_NULL = np.uint64(0xA4093822299F31D0)  # further digits of pi


def keys(*columns: pa.Array) -> np.ndarray:
    """Gives one uint64 per row: equal for rows whose strings are equal, byte for byte.

    A null is no empty string. The keys are the same on every machine.
    """
    found = np.full(len(columns[0]), _SEED, np.uint64)
    for column in columns:
        row = 0
        is_null = column.is_null().to_numpy(zero_copy_only=False)
        for data, starts in text_buffers(column):
            end = row + len(starts) - 1
            _add(data, starts, is_null[row:end], found[row:end])
            row = end
    return found


@compiled
def _add(data, starts, is_null, found):
    """Mixes the bytes of each row into what was `found` of it so far."""
    for row in range(len(starts) - 1):
        start, end = starts[row], starts[row + 1]
        h = finish(found[row] ^ (_NULL if is_null[row] else np.uint64(end - start)))
        i = start
        while i + 8 <= end:
            word = np.uint64(0)
            for byte in range(8):
                word |= np.uint64(data[i + byte]) << np.uint64(8 * byte)
            h = (h ^ word) * _STEP
            h ^= h >> np.uint64(32)
            i += 8
        word = np.uint64(0)
        while i < end:
            word = word << np.uint64(8) | np.uint64(data[i])
            i += 1
        found[row] = finish(h ^ word)
