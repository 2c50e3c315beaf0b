"""Pairs of rows that may be near-duplicates: those with the same key in a band.

A bucket of a few rows gives all its pairs. In a bucket of many that would be quadratic, and there
it matters what the pairs turn out to be: whoever takes them joins those that hold in the
components, before the next are made. First a bucket's foremost rows are compared with all others,
which connects a family of true near-duplicates at the cost of its size. A bucket that is still not
one component, such as texts that share a frame and little else, is parted by the keys of another
band, and again by those of a third; what is then still large gives each row with the next few.
So a bucket of m rows gives a number of pairs that grows with m and not with its square. What this
may miss is a pair in buckets that are large, unconnected and equal in three bands at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bonito_assets.curation.duplicates.components import Components

Pairs = tuple[np.ndarray, np.ndarray]

# Pairs that are handed out at once: their texts are in memory together.
PAIRS_AT_ONCE = 1 << 13
# A bucket of so many rows gives all of its pairs, by how often it was parted.
_SMALL = (64, 16, 16)
# So many of the foremost rows of a large bucket are compared with its others, as long as a tenth
# of those were joined by the last one.
_TURNS = 4
_WORTHWHILE = 0.1
# Rows that are looked at in several bands at once, where buckets are parted.
_ROWS_AT_ONCE = 1 << 20
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def candidates(
    bands: np.ndarray,
    salt: np.ndarray | None = None,
    components: Components | None = None,
    rows: np.ndarray | None = None,
) -> Iterator[Pairs]:
    """Gives pairs of row numbers, the smaller one left, in batches of at most ``PAIRS_AT_ONCE``.

    `bands` are ``signatures``, in memory or mapped to it; one band at a time is read. Only rows of
    the same `salt` are paired. Pairs that are connected in `components` when their batch is made
    are left out, so join those that hold before you take the next batch; a pair may come again in
    another band. `rows` are the rows to look at, all when not given.
    """
    search = _Search(bands, salt, components or Components(len(bands)))
    rows = np.arange(len(bands)) if rows is None else np.sort(rows)
    for band in range(bands.shape[1]):
        yield from search.pairs(rows, None, np.full(len(rows), band, np.int8), 0)


def repeated(bands: np.ndarray, salt: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Gives those of `rows`, in ascending order, that share a key of a band with another one."""
    search = _Search(bands, salt, Components(0))
    found = np.zeros(len(bands), bool)
    for band in range(bands.shape[1]):
        found[rows[search.buckets(rows, None, band)[0]]] = True
    return np.flatnonzero(found)


def firsts(keys: np.ndarray, salt: np.ndarray | None, rows: np.ndarray) -> tuple[np.ndarray, Pairs]:
    """Gives the first of `rows` with each key and salt, and the others with their first one."""
    search = _Search(keys[:, None], salt, Components(0))
    members = rows[search.buckets(rows, None, 0)[0]]
    columns = [members, keys[members]] if salt is None else [members, keys[members], salt[members]]
    members = members[np.lexsort(columns)]
    opens = np.ones(len(members), bool)
    opens[1:] = keys[members[1:]] != keys[members[:-1]]
    if salt is not None:
        opens[1:] |= salt[members[1:]] != salt[members[:-1]]
    first = members[opens][np.cumsum(opens) - 1]
    again = np.zeros(len(keys), bool)
    again[members[~opens]] = True
    return rows[~again[rows]], (first[~opens], members[~opens])


class _Search:
    def __init__(self, bands: np.ndarray, salt: np.ndarray | None, components: Components) -> None:
        self._bands, self._salt, self._components = bands, salt, components

    def pairs(
        self, rows: np.ndarray, within: np.ndarray | None, bands: np.ndarray, depth: int
    ) -> Iterator[Pairs]:
        """Gives pairs of rows with the same key in their ``bands`` and in the same bucket `within`.

        Within a bucket, all rows are looked at in the same band.
        """
        places, bucket = self.buckets(rows, within, bands)
        members, bucket, bands = self._open(rows[places], bucket, bands[places])
        small = np.bincount(bucket, minlength=1)[bucket] <= _SMALL[depth]
        yield from self._neighbours(members[small], bucket[small], _SMALL[depth])
        members, bucket, bands = members[~small], bucket[~small], bands[~small]
        yield from self._stars(members, bucket)
        members, bucket, bands = self._open(members, bucket, bands)
        if not len(members):
            return
        if depth == len(_SMALL) - 1:
            yield from self._neighbours(members, bucket, _SMALL[depth])
            return
        at_once = max(1, _ROWS_AT_ONCE // len(members))
        for first in range(1, self._bands.shape[1], at_once):
            parts = []
            for later in range(first, min(first + at_once, self._bands.shape[1])):
                those = bands < later
                number = bucket[those] + (bucket[-1] + 1) * later
                parts.append((members[those], number, np.full(len(number), later)))
            yield from self.pairs(*map(np.concatenate, zip(*parts, strict=True)), depth + 1)

    def buckets(
        self, rows: np.ndarray, within: np.ndarray | None, bands: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gives the places in `rows` that share a key, bucket by bucket, and their buckets.

        In a bucket the places ascend.
        """
        keys = self._bands[rows, bands]
        known = np.flatnonzero(keys)
        keys = keys[known]
        if self._salt is not None:
            keys = keys + self._salt[rows[known]].astype(np.uint64) * _SPREAD
        if within is not None:
            keys = keys + (within[known].astype(np.uint64) + np.uint64(1)) * _SPREAD
        # Key and place share a number, so that it takes one plain sort. Keys are cut for it: at ten
        # million rows to 40 bits, by which some 45 pairs a band are wrong, and soon found out.
        bits = np.uint64(max(1, len(keys).bit_length()))
        keys = keys >> bits << bits
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        places = keys & ((np.uint64(1) << bits) - np.uint64(1))
        keys >>= bits
        alike = np.zeros(len(keys) + 1, bool)
        np.equal(keys[1:], keys[:-1], out=alike[1:-1])
        shared = alike[1:] | alike[:-1]
        bucket = np.cumsum(~alike[:-1][shared]) - 1
        return known[places[shared].astype(np.int64)], bucket

    def _open(
        self, members: np.ndarray, bucket: np.ndarray, bands: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gives the buckets that are not one component yet, numbered anew."""
        if not len(members):
            return members, bucket, bands
        labels = self._components.of(members)
        first = labels[np.searchsorted(bucket, np.arange(bucket[-1] + 1))]
        differs = np.zeros(len(first), bool)
        differs[bucket[labels != first[bucket]]] = True
        stays = differs[bucket]
        return members[stays], (np.cumsum(differs) - 1)[bucket[stays]], bands[stays]

    def _neighbours(self, members: np.ndarray, bucket: np.ndarray, most: int) -> Iterator[Pairs]:
        """Gives each row with the next ones of its bucket: all pairs where it has `most` rows."""
        places = np.arange(len(members))
        left, right, waiting = [members[:0]], [members[:0]], 0
        for distance in range(1, most):
            places = places[: np.searchsorted(places, len(members) - distance)]
            places = places[bucket[places] == bucket[places + distance]]
            left.append(members[places])
            right.append(members[places + distance])
            waiting += len(places)
            # The nearest first, for what they connect is not compared again; then more at a time.
            if waiting > PAIRS_AT_ONCE or distance & (distance + 1) == 0:
                yield from self._batches(np.concatenate(left), np.concatenate(right))
                left, right, waiting = [members[:0]], [members[:0]], 0

    def _stars(self, members: np.ndarray, bucket: np.ndarray) -> Iterator[Pairs]:
        """Gives the foremost rows of each bucket with all others of it."""
        for turn in range(_TURNS):
            if not len(members):
                return
            starts = np.searchsorted(bucket, np.arange(bucket[-1] + 1))
            heads = members[starts + turn][bucket]
            apart = self._components.of(members) != self._components.of(heads)
            yield from self._batches(heads[apart], members[apart])
            joined = self._components.of(members) == self._components.of(heads)
            before = np.bincount(bucket[apart], minlength=len(starts))
            gained = np.bincount(bucket[apart & joined], minlength=len(starts))
            goes_on = (gained > _WORTHWHILE * before) & (gained < before)
            stays = goes_on[bucket]
            members, bucket = members[stays], (np.cumsum(goes_on) - 1)[bucket[stays]]

    def _batches(self, left: np.ndarray, right: np.ndarray) -> Iterator[Pairs]:
        for start in range(0, len(left), PAIRS_AT_ONCE):
            a, b = left[start : start + PAIRS_AT_ONCE], right[start : start + PAIRS_AT_ONCE]
            apart = self._components.of(a) != self._components.of(b)
            if self._salt is not None:
                apart &= self._salt[a] == self._salt[b]
            if apart.any():
                yield np.minimum(a, b)[apart], np.maximum(a, b)[apart]
