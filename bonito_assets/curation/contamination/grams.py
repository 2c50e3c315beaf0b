"""An index of runs of words: which of many texts share one with the texts that it was made of.

It holds 64-bit hashes and no text. With a million runs in it, ten million rows of 300 words looked
up in eleven lengths meet a hash that is not theirs with odds of one in 560
(3.3e10 * 1e6 / 2**64).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bonito_assets.curation.duplicates.words import Hashed, ngrams

# Bits per run in the filter in front of the index, at least: one look in 32 passes it for nothing,
# and the filter of a million runs still fits into a processor's cache.
_BITS_PER_RUN = 32
# Their hashes and those of their runs stay in the cache of a core.
_WORDS_AT_ONCE = 1 << 16
# A pair of numbers in one of 64 bits.
_HALF = 32
_LOW = np.uint64(0xFFFFFFFF)


class Pairs(NamedTuple):
    """Numbers of things beside numbers of other things."""

    left: np.ndarray
    right: np.ndarray


class Grams:
    """Runs of words by number, each with its `owners`: run i has those from ends[i] to ends[i+1].

    A run with more than `most` owners says nothing about any of them and is left out.
    """

    def __init__(
        self, hashes: np.ndarray, owners: np.ndarray, lengths: np.ndarray, most: int
    ) -> None:
        """Takes one entry per run and owner; `lengths` are the words of each run."""
        order = np.lexsort((owners, hashes))
        hashes, owners = hashes[order], owners[order]
        fresh = np.ones(len(hashes), bool)
        fresh[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        hashes, owners = hashes[fresh], owners[fresh]
        keys, counts = np.unique(hashes, return_counts=True)
        kept = counts <= most
        self.hashes = keys[kept]
        self.owners = owners[np.repeat(kept, counts)].astype(np.int32)
        self.ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[kept])])
        self.lengths = [int(length) for length in np.unique(lengths)]
        digits = max(3, (len(self.hashes) * _BITS_PER_RUN).bit_length())
        self._shift = np.uint64(64 - digits)
        self._bits = np.zeros(1 << (digits - 3), np.uint8)
        if len(self.hashes):
            from bonito_assets.curation.contamination.kernels import set_bits

            set_bits(self.hashes, self._shift, self._bits)

    def shared(self, words: Hashed) -> Pairs:
        """Gives each text of `words` beside each run that stands in it, once and in order."""
        pairs = [np.zeros(0, np.uint64)]
        if len(self.hashes):
            for first, some in _stretches(words):
                found = [self._shared(ngrams(some, length), first) for length in self.lengths]
                pairs.append(np.unique(np.concatenate(found)))
        return unpacked(np.concatenate(pairs))

    def _shared(self, grams: Hashed, first: int) -> np.ndarray:
        from bonito_assets.curation.contamination.kernels import find_bits

        # One more than there are: what is found is written before it is counted.
        places = np.empty(len(grams.hashes) + 1, np.int64)
        places = places[: find_bits(grams.hashes, self._shift, self._bits, places)]
        sought = grams.hashes[places]
        runs = np.searchsorted(self.hashes, sought)
        hit = self.hashes[np.minimum(runs, len(self.hashes) - 1)] == sought
        texts = np.searchsorted(grams.offsets, places[hit], "right") - 1
        return packed(texts + first, runs[hit])

    def owned(self, shared: Pairs) -> Pairs:
        """Gives each text beside the owners of the runs that it shares, once for each run."""
        first = self.ends[shared.right]
        counts = self.ends[shared.right + 1] - first
        at = _counted(first, counts)
        return Pairs(np.repeat(shared.left, counts), self.owners[at])


def matches(sought: np.ndarray, among: np.ndarray) -> Pairs:
    """Gives all places of `sought` and of `among`, which is sorted, that hold the same."""
    first = np.searchsorted(among, sought, "left")
    counts = np.searchsorted(among, sought, "right") - first
    return Pairs(np.repeat(np.arange(len(sought)), counts), _counted(first, counts))


def _counted(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Gives as many numbers as `counts` says, from each of `first` on."""
    return np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)


def _stretches(words: Hashed) -> Iterator[tuple[int, Hashed]]:
    """Gives texts of about `_WORDS_AT_ONCE` words together, and the number of the first of them."""
    first, texts = 0, len(words.offsets) - 1
    while first < texts:
        start = words.offsets[first]
        last = int(np.searchsorted(words.offsets, start + _WORDS_AT_ONCE, "right")) - 1
        last = max(last, first + 1)
        offsets = words.offsets[first : last + 1]
        yield first, Hashed(offsets - start, words.hashes[start : offsets[-1]])
        first = last


def packed(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Gives each pair of numbers below 2**32 as one number; they sort by `left` first."""
    return left.astype(np.uint64) << np.uint64(_HALF) | right.astype(np.uint64)


def unpacked(pairs: np.ndarray) -> Pairs:
    """Gives the two numbers of each pair."""
    return Pairs((pairs >> np.uint64(_HALF)).astype(np.int64), (pairs & _LOW).astype(np.int64))
