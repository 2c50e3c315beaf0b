"""Rows of text with planted duplicates, as many as wanted, and the truth about them.

Nothing is held: row n is worked out from n alone, so ten million rows take minutes and a few
hundred MB. Rows have 60 to 400 words of invented sentences, drawn by Zipf's law with exponent 0.6;
5% are copies, 10% copies with words put in, taken out or replaced, evenly from a similarity of 0.70
to 0.95. Three in ten of these are of one row in a thousand, so that there are families.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 20_000
_WORDS, _SENTENCES = 50_000, 500_000
_LEAST, _MOST = 60, 400
_EXACT, _NEAR, _HOT, _EVERY = 0.05, 0.15, 0.3, 1000
_LIKE, _ALIKE = 0.70, 0.95
# A copy can be longer than its source.
_ROOM = 2 * _MOST
_SHINGLE = 5


class Language(NamedTuple):
    """Invented words in three forms (plain, first and last of a sentence), and sentences of them.

    ``starts[w + f * _WORDS]`` is where word `w` in form `f` begins in ``letters``.
    """

    letters: np.ndarray
    starts: np.ndarray
    sentences: np.ndarray
    sentence_starts: np.ndarray


@functools.cache
def language() -> Language:
    """Gives the words, 6.6 letters long on average and one in a hundred with an accent."""
    random = np.random.default_rng(7)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    lengths = random.choice([2, 3, 4], 4 * _WORDS, p=[0.3, 0.6, 0.1])
    drawn = random.integers(0, len(syllables), (4 * _WORDS, 4))
    made = ("".join(syllables[i] for i in row[:n]) for row, n in zip(drawn, lengths, strict=True))
    words = list(dict.fromkeys(made))[:_WORDS]
    words = [w.replace("a", "é") if number % 100 == 50 else w for number, w in enumerate(words)]
    forms = [w + " " for w in words] + [w.capitalize() + " " for w in words]
    encoded = [form.encode() for form in forms + [w + ". " for w in words]]
    starts = np.concatenate([[0], np.cumsum([len(form) for form in encoded])])
    ends = np.cumsum(random.integers(8, 23, _SENTENCES))
    # Common words are common: the square of an even number leans to the small ones.
    sentences = (_WORDS * random.random(ends[-1]) ** 2).astype(np.int32)
    sentence_starts = np.concatenate([[0], ends])
    sentences[sentence_starts[:-1]] += _WORDS
    sentences[ends - 1] += 2 * _WORDS
    return Language(np.frombuffer(b"".join(encoded), np.uint8), starts, sentences, sentence_starts)


@numba.njit(nogil=True)
def _random(row: int, step: int) -> float:
    """Gives number `step` of the even random numbers of a row, by SplitMix64."""
    z = np.uint64(row) * np.uint64(0xD1342543DE82EF95) + np.uint64(step + 1) * np.uint64(
        0x9E3779B97F4A7C15
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 9007199254740992.0


@numba.njit(nogil=True)
def _source(row: int, rows: int) -> int:
    """Gives the row that `row` is a copy of, or -1; the source is never a copy."""
    if _random(row, 0) >= _NEAR:
        return -1
    source = int(_random(row, 1) * rows)
    if _random(row, 0) >= _EXACT and _random(row, 2) < _HOT:
        source = source // _EVERY * _EVERY
    while _random(source, 0) < _NEAR:
        source = (source + 1) % rows
    return source


@numba.njit(nogil=True)
def _original(row: int, sentences: np.ndarray, starts: np.ndarray, out: np.ndarray) -> int:
    wanted = _LEAST + int(_random(row, 3) * (_MOST - _LEAST + 1))
    size, step = 0, 4
    while size < wanted:
        # Inverse of the distribution of ranks k with weights k**-0.6.
        sentence = int((len(starts) - 1) * _random(row, step) ** 2.5)
        step += 1
        for i in range(
            starts[sentence], min(starts[sentence + 1], starts[sentence] + wanted - size)
        ):
            out[size] = sentences[i]
            size += 1
    return size


@numba.njit(nogil=True)
def _row(
    row: int, rows: int, sentences: np.ndarray, starts: np.ndarray, source: np.ndarray,
    out: np.ndarray,
) -> int:  # fmt: skip
    """Puts the words of `row` into `out` and gives their number; `source` is for its source."""
    original = _source(row, rows)
    if original < 0:
        return _original(row, sentences, starts, out)
    size = _original(original, sentences, starts, source)
    edits = 0
    if _random(row, 0) >= _EXACT:
        # An edit changes as many shingles as a shingle has words.
        target = _LIKE + _random(row, 4) * (_ALIKE - _LIKE)
        edits = int((size - 4) / _SHINGLE * (1 - target) / (1 + target) + _random(row, 5))
    at, edit = 0, 0
    place = int(_random(row, 6) * size / max(1, edits))
    for i in range(size):
        if edit < edits and i == place:
            what = int(_random(row, 7 + 3 * edit) * 3)
            if what:
                out[at] = int(_WORDS * _random(row, 8 + 3 * edit) ** 2)
                at += 1
            if what == 1:
                out[at] = source[i]
                at += 1
            edit += 1
            place = int((edit + _random(row, 9 + 3 * edit)) * size / max(1, edits))
            place = max(place, i + 1)
            continue
        out[at] = source[i]
        at += 1
    return at


@numba.njit(nogil=True)
def _write(
    first: int, last: int, rows: int, letters: np.ndarray, letter_starts: np.ndarray,
    sentences: np.ndarray, sentence_starts: np.ndarray, data: np.ndarray, offsets: np.ndarray,
) -> None:  # fmt: skip
    source, words = np.empty(_ROOM, np.int32), np.empty(_ROOM, np.int32)
    at = 0
    for row in range(first, last):
        for i in range(_row(row, rows, sentences, sentence_starts, source, words)):
            for k in range(letter_starts[words[i]], letter_starts[words[i] + 1]):
                data[at] = letters[k]
                at += 1
        # Without the blank at the end.
        at -= 1
        offsets[row - first + 1] = at


@numba.njit(nogil=True)
def _set(words: np.ndarray, size: int) -> np.ndarray:
    """Gives the sorted set of shingles of a row, as numbers made of its words in plain form."""
    shingles = np.empty(max(1, size - _SHINGLE + 1), np.uint64)
    for i in range(len(shingles)):
        h = np.uint64(0)
        for k in range(i, min(size, i + _SHINGLE)):
            h = (h + np.uint64(words[k] % _WORDS + 1)) * np.uint64(0xDA942042E4DD58B5)
            h ^= h >> np.uint64(29)
        shingles[i] = h
    return np.unique(shingles)


@numba.njit(nogil=True)
def _jaccard(
    one: np.ndarray, other: np.ndarray, rows: int, sentences: np.ndarray, starts: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    source, words = np.empty(_ROOM, np.int32), np.empty(_ROOM, np.int32)
    for pair in range(len(one)):
        a = _set(words, _row(one[pair], rows, sentences, starts, source, words))
        b = _set(words, _row(other[pair], rows, sentences, starts, source, words))
        i, j, shared = 0, 0, 0
        while i < len(a) and j < len(b):
            if a[i] == b[j]:
                shared += 1
                i += 1
                j += 1
            elif a[i] < b[j]:
                i += 1
            else:
                j += 1
        out[pair] = shared / (len(a) + len(b) - shared)


@numba.njit(nogil=True)
def _sources(rows: int) -> np.ndarray:
    found = np.empty(rows, np.int64)
    for row in range(rows):
        found[row] = _source(row, rows)
    return found


def write(path: str, rows: int) -> None:
    """Writes `rows` rows of the column `text` to the Parquet file `path`, in groups of 20,000."""
    tongue = language()
    longest = int(np.diff(tongue.starts).max())
    data = np.empty(ROW_GROUP * _ROOM * longest, np.uint8)
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False) as file:
        for first in range(0, rows, ROW_GROUP):
            count = min(ROW_GROUP, rows - first)
            offsets = np.zeros(count + 1, np.int32)
            _write(first, first + count, rows, *tongue, data, offsets)
            buffers = pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]])
            texts = pa.StringArray.from_buffers(count, *buffers)
            file.write_table(pa.table([texts], schema=schema), row_group_size=count)


def similarities(one: np.ndarray, other: np.ndarray, rows: int) -> np.ndarray:
    """Gives the Jaccard similarity of pairs of rows, from the words they were made of."""
    tongue, found = language(), np.empty(len(one))
    _jaccard(one, other, rows, tongue.sentences, tongue.sentence_starts, found)
    return found


def quality(kept: np.ndarray, threshold: float = 0.8) -> tuple[float, float]:
    """Gives recall and precision of a removal that leaves the rows where `kept` is true.

    Recall is the share of planted copies at or above `threshold` of which not both rows are left;
    precision the share of removed rows that are at or above it to another row of their planted
    family.
    """
    rows = len(kept)
    sources = _sources(rows)
    copies = np.flatnonzero(sources >= 0)
    like = similarities(copies, sources[copies], rows)
    pairs, of = copies[like >= threshold], sources[copies[like >= threshold]]
    broken = ~(kept[pairs] & kept[of])
    known = np.zeros(rows, bool)
    known[pairs] = known[of] = True
    doubtful = np.flatnonzero(~kept & ~known)
    # Neither a source nor near to its own: perhaps near to another copy of the same row.
    order = copies[np.argsort(sources[copies], kind="stable")]
    ordered = sources[order]
    right = 0
    for row in doubtful[sources[doubtful] >= 0]:
        first, last = np.searchsorted(ordered, [sources[row], sources[row] + 1])
        siblings = order[first:last][order[first:last] != row]
        found = similarities(np.full(len(siblings), row), siblings, rows)
        right += bool((found >= threshold).any())
    removed = int((~kept).sum())
    return float(broken.mean()), (removed - len(doubtful) + right) / max(1, removed)
