"""The loops over hashes, compiled. Imported where they are called, for numba is heavy."""

from __future__ import annotations

import numpy as np

from bonito_assets.curation.duplicates.kernels import compiled

_BIT = np.uint64(7)
_BYTE = np.uint64(3)


@compiled
def set_bits(hashes: np.ndarray, shift: np.uint64, bits: np.ndarray) -> None:
    """Sets the bit that the leading digits of each hash name."""
    for h in hashes:
        place = h >> shift
        bits[place >> _BYTE] |= np.uint8(1) << np.uint8(place & _BIT)


@compiled
def find_bits(hashes: np.ndarray, shift: np.uint64, bits: np.ndarray, out: np.ndarray) -> int:
    """Puts the places of the hashes whose bit is set into `out`; gives their number."""
    found = 0
    for i in range(len(hashes)):
        place = hashes[i] >> shift
        # Written each time and counted only when it is set: a branch here is often guessed wrong.
        out[found] = i
        found += np.int64((bits[place >> _BYTE] >> np.uint8(place & _BIT)) & np.uint8(1))
    return found
