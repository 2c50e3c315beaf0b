"""The loops over bytes and hashes, compiled. Imported where they are called, for numba is heavy.

They run outside of Python's lock, so threads work on batches side by side. All constants are fixed:
the same text has the same hashes on every machine and in every version, which tests hold to.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from bonito_assets.curation.duplicates.alphabet import GAP, LETTER, MARK, NOTHING, SIZE

# Odd, with bits all over and a single factor of two in `_STEP - 1`, so that two words that change
# places cannot cancel out. From the digits of the golden ratio and of pi.
_STEP = np.uint64(0x9E3779B97F4A7C13)
_SEED = np.uint64(0x243F6A8885A308D3)
_MARKED = np.uint64(0x13198A2E03707345)
# The finish of MurmurHash3 (Appleby, public domain): each bit that goes in moves all that come out.
_FINISH_1 = np.uint64(0xFF51AFD7ED558CCD)
_FINISH_2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)
_32 = np.uint64(32)
_1 = np.uint64(1)
_0 = np.uint64(0)
_BLANK = np.int64(0x20)


def compiled(function: Callable) -> Callable:
    """Gives `function` compiled, kept on disk where a folder for that can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache folder can be written.
        return numba.njit(nogil=True)(function)


@compiled
def finish(h: np.uint64) -> np.uint64:
    """Gives `h` with all of its bits mixed."""
    h ^= h >> _33
    h *= _FINISH_1
    h ^= h >> _33
    h *= _FINISH_2
    return h ^ (h >> _33)


@compiled
def read_words(
    data: np.ndarray,
    start: int,
    end: int,
    ascii_: np.ndarray,
    kinds: np.ndarray,
    becomes: np.ndarray,
    sequences: np.ndarray,
    out: np.ndarray,
    at: int,
) -> int:
    """Puts the hashes of the words of ``data[start:end]`` into `out` from `at`; gives their end.

    `data` need not be valid UTF-8: what cannot be decoded is a gap.
    """
    # Indices without a sign, for numba looks at the others twice.
    i, end = np.uint64(start), np.uint64(end)
    h, is_open, alone = _SEED, False, False
    while i < end:
        letter = ascii_[data[i]]
        if letter:
            if alone:
                out[at] = finish(h)
                at += 1
                h, alone = _SEED, False
            while letter:
                h = (h ^ np.uint64(letter)) * _STEP
                i += _1
                letter = ascii_[data[i]] if i < end else np.uint8(0)
            is_open = True
            continue
        code = np.int64(data[i])
        i += _1
        if code < 0x80:
            if is_open:
                out[at] = finish(h)
                at += 1
                h, is_open, alone = _SEED, False, False
            continue
        more = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
        code &= 0x3F >> more
        while more and i < end and (data[i] & 0xC0) == 0x80:
            code = code << 6 | np.int64(data[i] & 0x3F)
            i += _1
            more -= 1
        if more or code >= SIZE:
            code = _BLANK
        target = np.int64(becomes[code])
        sequence, count = np.int64(0), np.int64(1)
        if target < 0:
            sequence = -target
            count = np.int64(sequences[sequence - 1])
        for step in range(count):
            if sequence:
                target = np.int64(sequences[sequence + step])
            kind = kinds[target]
            if kind == LETTER and not alone:
                h = (h ^ np.uint64(target)) * _STEP
                is_open = True
            elif kind == MARK:
                # Added, so that the order of marks does not matter. One on nothing, such as the
                # acute that many type for an apostrophe, is no word.
                if is_open:
                    h += np.uint64(target) * _MARKED
            elif kind != NOTHING:
                if is_open:
                    out[at] = finish(h)
                    at += 1
                h, is_open, alone = _SEED, False, False
                if kind != GAP:
                    h = (h ^ np.uint64(target)) * _STEP
                    is_open, alone = True, kind != LETTER
    if is_open:
        out[at] = finish(h)
        at += 1
    return at


@compiled
def read_rows(
    data: np.ndarray,
    starts: np.ndarray,
    ascii_: np.ndarray,
    kinds: np.ndarray,
    becomes: np.ndarray,
    sequences: np.ndarray,
    out: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Puts the word hashes of each row into `out`, and where they end into `ends`."""
    at = np.int64(0)
    for row in range(len(starts) - 1):
        start, end = starts[row], starts[row + 1]
        at = read_words(data, start, end, ascii_, kinds, becomes, sequences, out, at)
        ends[row] = at


@compiled
def gram_hashes(words: np.ndarray, start: int, end: int, n: int, out: np.ndarray, at: int) -> int:
    """Puts the n-gram hashes of ``words[start:end]`` into `out` from `at`; gives their end.

    A polynomial over the words' hashes modulo 2**64, rolled on by one word at a time.
    """
    if start == end:
        return at
    oldest = _1
    for _ in range(n):
        oldest *= _STEP
    h = _0
    for i in range(start, end):
        h = h * _STEP + words[i]
        if i - start >= n:
            h -= words[i - n] * oldest
        if i - start >= n - 1:
            out[at] = finish(h)
            at += 1
    if end - start < n:
        out[at] = finish(h)
        at += 1
    return at


@compiled
def gram_rows(
    words: np.ndarray, offsets: np.ndarray, n: int, out: np.ndarray, ends: np.ndarray
) -> None:
    """Puts the n-gram hashes of each row into `out`, and where they end into `ends`."""
    at = np.int64(0)
    for row in range(len(offsets) - 1):
        at = gram_hashes(words, offsets[row], offsets[row + 1], n, out, at)
        ends[row] = at


@compiled
def key_of(words: np.ndarray, start: int, end: int) -> np.uint64:
    """Gives one hash of ``words[start:end]`` in their order."""
    h = _SEED
    for i in range(start, end):
        h = (h ^ words[i]) * _STEP
        h ^= h >> _33
    return finish(h ^ np.uint64(end - start))


@compiled
def key_rows(words: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Puts the key of each row into `out`."""
    for row in range(len(out)):
        out[row] = key_of(words, offsets[row], offsets[row + 1])


@compiled
def least(grams: np.ndarray, end: int, multipliers: np.ndarray, minima: np.ndarray) -> None:
    """Puts into `minima` the least of each permutation of the first `end` grams, at least one.

    A permutation is a product modulo 2**32; the grams are hashes already, so it need not mix. Four
    grams are taken at a time, for then memory is touched a quarter as often.
    """
    minima[:] = np.uint32(0xFFFFFFFF)
    last = end - 1
    for i in range(0, end, 4):
        a = np.uint32(grams[i] >> _32)
        b = np.uint32(grams[min(i + 1, last)] >> _32)
        c = np.uint32(grams[min(i + 2, last)] >> _32)
        d = np.uint32(grams[min(i + 3, last)] >> _32)
        for k in range(len(minima)):
            by = multipliers[k]
            ab = min(np.uint32(a * by), np.uint32(b * by))
            cd = min(np.uint32(c * by), np.uint32(d * by))
            minima[k] = min(minima[k], min(ab, cd))


@compiled
def sign_rows(
    data: np.ndarray,
    starts: np.ndarray,
    ascii_: np.ndarray,
    kinds: np.ndarray,
    becomes: np.ndarray,
    sequences: np.ndarray,
    words_per_byte: int,
    words_per_shingle: int,
    multipliers: np.ndarray,
    rows_per_band: int,
    bands: np.ndarray,
    keys: np.ndarray,
) -> None:
    """Puts the key of each band and row into `bands`, and the key of each text into `keys`.

    The keys of a band are never 0 but where a text has no words.
    """
    longest = np.int64(0)
    for row in range(len(keys)):
        longest = max(longest, starts[row + 1] - starts[row])
    words = np.empty(longest * words_per_byte, np.uint64)
    grams = np.empty(longest * words_per_byte, np.uint64)
    minima = np.empty(len(multipliers), np.uint32)
    for row in range(len(keys)):
        start, end = starts[row], starts[row + 1]
        end = read_words(data, start, end, ascii_, kinds, becomes, sequences, words, 0)
        keys[row] = key_of(words, 0, end)
        end = gram_hashes(words, 0, end, words_per_shingle, grams, 0)
        if not end:
            bands[:, row] = _0
            continue
        least(grams, end, multipliers, minima)
        for band in range(len(bands)):
            h = _SEED
            for k in range(band * rows_per_band, (band + 1) * rows_per_band):
                h = (h ^ np.uint64(minima[k])) * _STEP
                h ^= h >> _33
            bands[band, row] = finish(h) | _1


@compiled
def jaccard_rows(
    hashes: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    out: np.ndarray,
) -> None:
    """Puts the Jaccard similarity of the sets of hashes of two rows into `out`, for each pair.

    Rows without hashes are like nothing. The set of a left row is built once for pairs in a row.
    """
    longest = np.int64(1)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    slots = 4
    while slots < 4 * longest:
        slots *= 2
    mask = np.uint64(slots - 1)
    table = np.empty(slots, np.uint64)
    # A slot is taken by the left set where it has the number of its row, by the right one where it
    # has the number of the pair; so nothing is ever cleared.
    by_left = np.full(slots, -1, np.int64)
    by_right = np.full(slots, -1, np.int64)
    built, size = np.int64(-1), 0
    for pair in range(len(out)):
        a, b = left[pair], right[pair]
        if a != built:
            built, size = a, 0
            for i in range(offsets[a], offsets[a + 1]):
                slot = hashes[i] & mask
                while by_left[slot] == a and table[slot] != hashes[i]:
                    slot = (slot + _1) & mask
                if by_left[slot] != a:
                    by_left[slot], table[slot] = a, hashes[i]
                    size += 1
        shared, others = 0, 0
        for i in range(offsets[b], offsets[b + 1]):
            slot = hashes[i] & mask
            while (by_left[slot] == a or by_right[slot] == pair) and table[slot] != hashes[i]:
                slot = (slot + _1) & mask
            if by_right[slot] != pair:
                by_right[slot] = pair
                if by_left[slot] == a:
                    shared += 1
                else:
                    table[slot] = hashes[i]
                    others += 1
        out[pair] = shared / max(1, size + others)


@compiled
def root_of(parents: np.ndarray, row: int) -> int:
    """Gives the root of `row`, and halves the way to it."""
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@compiled
def join_rows(parents: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Joins the components of two rows, for each pair; the smaller root is the root of both."""
    for pair in range(len(left)):
        a, b = root_of(parents, left[pair]), root_of(parents, right[pair])
        parents[max(a, b)] = min(a, b)


@compiled
def root_rows(parents: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Puts the root of each of `rows` into `out`."""
    for i in range(len(rows)):
        out[i] = root_of(parents, rows[i])


@compiled
def unseen_pairs(seen: np.ndarray, count: int, pairs: np.ndarray, new: np.ndarray) -> int:
    """Marks those of `pairs` that were not seen before, and gives how many have been seen by now.

    `seen` is a table of a power of two of slots, 0 where one is free. Once it is half full nothing
    is added, and pairs may be taken for new again.
    """
    mask = np.uint64(len(seen) - 1)
    for i in range(len(pairs)):
        slot = finish(pairs[i]) & mask
        while seen[slot] != _0 and seen[slot] != pairs[i]:
            slot = (slot + _1) & mask
        new[i] = seen[slot] != pairs[i]
        if new[i] and 2 * count < len(seen):
            seen[slot] = pairs[i]
            count += 1
    return count
