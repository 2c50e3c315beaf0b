"""Scores of a row that its own text gives: lengths, what it copies, what it repeats.

``coverage`` and ``density`` are those of extractive fragments (Grusky, Naaman and Artzi 2018,
"Newsroom", section 4): the answer is cut, from its beginning on, into the longest stretches of
words that stand in the passage. With ``|A|`` words in the answer and ``|f|`` in a stretch, coverage
is the sum of ``|f| / |A|`` and density the sum of ``|f|^2 / |A|``. Words are those of the duplicate
search, so that case and punctuation are of no account.
"""
# ruff: noqa: ANN001, ANN202 - compiled loops take whatever numba makes of their arguments

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.curation.duplicates.kernels import compiled
from bonito_assets.curation.duplicates.words import Hashed, word_hashes

# Odd constants with their bits well spread: the golden ratio and the first of xxHash64's primes.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SPREAD_TOO = np.uint64(0x9E3779B185EBCA87)


class Scores(NamedTuple):
    """The scores of some rows, an array each, null where a row has none.

    What an answer copies says nothing where it is a label: a labelled row has no overlap, coverage
    and density, so that a threshold for them leaves it alone.
    """

    input_chars: pa.Array
    output_chars: pa.Array
    passage_chars: pa.Array
    lexical_overlap: pa.Array
    extractive_coverage: pa.Array
    extractive_density: pa.Array
    repetition: pa.Array


def scores(
    inputs: pa.Array, outputs: pa.Array, labels: pa.Array, passages: pa.DictionaryArray
) -> Scores:
    """Gives the scores of rows with these instructions, answers, labels and passages.

    Lengths are in code points, the others between 0 and 1, density in words.
    """
    answers = word_hashes(outputs)
    texts = word_hashes(passages.dictionary)
    overlap, coverage, density, repetition = _measured(
        *_kernel_view(answers),
        *_kernel_view(texts),
        passages.indices.to_numpy(zero_copy_only=False).astype(np.int64),
    )
    without_words = np.diff(answers.offsets) == 0
    copies_nothing = without_words | labels.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.utf8_length(passages.dictionary).take(passages.indices)
    return Scores(
        pc.utf8_length(inputs).cast(pa.int64()),
        pc.utf8_length(outputs).cast(pa.int64()),
        lengths.cast(pa.int64()),
        pa.array(overlap, mask=copies_nothing),
        pa.array(coverage, mask=copies_nothing),
        pa.array(density, mask=copies_nothing),
        pa.array(repetition, mask=without_words),
    )


def _kernel_view(words: Hashed) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(words.offsets, np.int64), np.asarray(words.hashes, np.uint64)


@compiled
def _measured(answer_starts, answers, text_starts, texts, text_of):
    """Gives overlap, coverage, density and repetition of each answer, given its text's number."""
    rows = len(answer_starts) - 1
    overlap = np.zeros(rows)
    coverage = np.zeros(rows)
    density = np.zeros(rows)
    repetition = np.zeros(rows)
    most, longest = 1, 1
    for text in range(len(text_starts) - 1):
        most = max(most, text_starts[text + 1] - text_starts[text])
    for row in range(rows):
        longest = max(longest, answer_starts[row + 1] - answer_starts[row])
    # A table of the words of the text at hand: a slot holds the last place of its word, `earlier`
    # leads from each place to the one before it.
    slots = np.full(_table_size(most), -1, np.int64)
    earlier = np.empty(most, np.int64)
    # run[i % 2, p]: words in common from word i of the answer and place p of the text on, valid
    # where `stamp` is that of word i. Going backwards, each is one more than that of word i + 1 at
    # place p + 1, so that a pair of equal words costs one step however long the stretches are.
    run = np.zeros((2, most + 1), np.int64)
    stamp = np.full((2, most + 1), -1, np.int64)
    best = np.zeros(longest, np.int64)
    grams = np.zeros(_table_size(longest), np.uint64)
    used = np.full(len(grams), -1, np.int64)
    now, tick, mask = -1, 0, 0
    for row in range(rows):
        first, length = answer_starts[row], answer_starts[row + 1] - answer_starts[row]
        if length == 0:
            continue
        if text_of[row] != now:
            now = text_of[row]
            start, words = text_starts[now], text_starts[now + 1] - text_starts[now]
            mask = _table_size(words) - 1
            slots[: mask + 1] = -1
            for place in range(words):
                slot = _slot_of(texts, start, slots, mask, texts[start + place])
                earlier[place] = slots[slot]
                slots[slot] = place
        start = text_starts[now]
        tick += 2  # the words of another answer are no neighbours of these
        found = 0
        for i in range(length - 1, -1, -1):
            tick += 1
            here, after = tick % 2, (tick - 1) % 2
            best[i] = 0
            place = slots[_slot_of(texts, start, slots, mask, answers[first + i])]
            if place >= 0:
                found += 1
            while place >= 0:
                reach = 1
                if stamp[after, place + 1] == tick - 1:
                    reach += run[after, place + 1]
                run[here, place] = reach
                stamp[here, place] = tick
                best[i] = max(best[i], reach)
                place = earlier[place]
        overlap[row] = found / length
        i = copied = squares = 0
        while i < length:
            copied += best[i]
            squares += best[i] * best[i]
            i += max(best[i], 1)
        coverage[row] = copied / length
        density[row] = squares / length
        again = 0
        gram_mask = _table_size(length) - 1
        for i in range(length - 2):
            one, two, three = answers[first + i], answers[first + i + 1], answers[first + i + 2]
            gram = ((one * _SPREAD + two) * _SPREAD_TOO + three) * _SPREAD
            gram ^= gram >> np.uint64(29)
            slot = np.int64(gram & np.uint64(gram_mask))
            while used[slot] == row and grams[slot] != gram:
                slot = (slot + 1) & gram_mask
            if used[slot] == row:
                again += 1
            used[slot], grams[slot] = row, gram
        if length > 2:
            repetition[row] = again / (length - 2)
    return overlap, coverage, density, repetition


@compiled
def _table_size(entries):
    """Gives the power of two that leaves half of the slots free."""
    size = 2
    while size < 2 * entries:
        size *= 2
    return size


@compiled
def _slot_of(texts, start, slots, mask, word):
    """Gives the slot of `word`, or the free one where it would be."""
    slot = np.int64((word * _SPREAD) >> np.uint64(32)) & mask
    while slots[slot] >= 0 and texts[start + slots[slot]] != word:
        slot = (slot + 1) & mask
    return slot
