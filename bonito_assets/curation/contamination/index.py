"""What is looked for of the test sets: runs of words, each with the question or context it is of.

The unit is the run of thirteen words (Brown et al. 2020, appendix C; so does lm-evaluation-harness,
and datatrove with twelve). A text of fewer words is one run as a whole. What such a run says
depends on whether it could stand there by chance:

- The surprise of a text is how many digits the odds against its words have: the sum of log10(texts
  of the set / those that have the word), a context and its questions being one text. Function
  words and words that questions are asked in add nothing. A question of fewer than thirteen words
  counts by itself where the odds are one in a hundred thousand; else where its answer stands with
  it and both together come to that.
- A question asked of more than ten contexts is a stock question, and a run in more than ten
  questions or contexts is boilerplate: neither counts. (Brown et al. leave out runs that more than
  ten documents have, which were common phrases and legal boilerplate.)
- On its own context every question of three words or more counts, stock questions too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bonito_assets.curation.contamination.grams import Grams, matches, packed, unpacked
from bonito_assets.curation.contamination.reading import Item, Source
from bonito_assets.curation.duplicates.words import Hashed, ngrams, text_keys, word_hashes
from bonito_assets.parsing.words import FUNCTION_WORDS

RUN = 13
# A question of one or two words stands in half of all texts.
SHORTEST_QUESTION = 3
# Brown et al. go down to runs of eight words where the examples of a set are short. A context of
# fewer words is compared with whole passages only.
SHORTEST_CONTEXT = 8
# In digits. Words go together, so the odds are overstated; but then the words must stand in one
# order, too. Measured on test sets in four languages: of other questions of the domain none is met.
SURPRISING = 5.0
# A set counts as so large at least: that a word stands in one of five texts tells little, but names
# and terms are rarer than one in a hundred in every domain.
LEAST_TEXTS = 100
COMMON = 10
# A context is found by half of its runs or of the passage's, or by those of fifty words on end.
# One run, as Brown et al. have it, is what a quotation of a law or a film's line has too, which
# they regretted for books; the 70% of Chowdhery et al. (2022) would miss what chunking cut.
SHARE = 0.5
ENOUGH = 50 - RUN + 1
# Words that questions are asked in, whatever they are about.
ASKING = frozenset(
    "according answer answers article author based below best choose correct describe describes "
    "false following given idea kind list main mean meaning means mentioned name named names note "
    "option options paragraph passage people person piece purpose question reading say says "
    "section sentence statement story subject summary text thing think time title topic true type "
    "use used word words write year years".split()
)
# From the digits of the golden ratio; odd, so that different numbers stay different.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Questions(NamedTuple):
    """The different questions of each set.

    The owners of ``runs`` are ``2 * question + counts by itself``. ``in_contexts`` tells for each
    run whether a context has it too. ``asked`` are the sorted pairs of question and context, each
    with its item in ``asking_items``; ``answered`` the sorted ``answer_keys`` that count.
    """

    runs: Grams
    in_contexts: np.ndarray
    items: np.ndarray
    asked: np.ndarray
    asking_items: np.ndarray
    answered: np.ndarray


class Contexts(NamedTuple):
    """The different contexts of each set, and how many of its runs show a context to be there.

    ``by_key`` are the contexts in the order of their ``keys``, which are sorted.
    """

    runs: Grams
    needed: np.ndarray
    items: np.ndarray
    own: np.ndarray
    keys: np.ndarray
    by_key: np.ndarray


class _Texts(NamedTuple):
    """The different texts of each set: words, set and first item, and which one each item has.

    An item without a word in its text has -1.
    """

    words: Hashed
    sets: np.ndarray
    items: np.ndarray
    of: np.ndarray


class _Runs(NamedTuple):
    """Runs on their way into an index: the hash, the owner and the number of words of each."""

    hashes: np.ndarray
    owners: np.ndarray
    lengths: np.ndarray

    def only(self, kept: np.ndarray) -> _Runs:
        return _Runs(*(column[kept] for column in self))


def built(sources: list[Source]) -> tuple[Questions, Contexts]:
    """Gives what is looked for of all `sources`, whose items are numbered through."""
    items = list(chain.from_iterable(source.items for source in sources))
    sets = np.repeat(np.arange(len(sources)), [len(source.items) for source in sources])
    asked = _texts([item.question for item in items], sets)
    given = _texts([item.context for item in items], sets)
    surprise = _Surprise(asked, given)
    own = np.array([source.own for source in sources])
    return _questions(items, asked, given, surprise), _contexts(given, own, surprise)


def needed(runs: np.ndarray) -> np.ndarray:
    """Gives how many shared runs it takes for a text of so many `runs`."""
    return np.minimum(np.ceil(runs * SHARE), ENOUGH).astype(np.int64)


def answer_keys(questions: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Gives one key for each number of a question beside the key of an answer's text."""
    return (questions.astype(np.uint64) + np.uint64(1)) * _SPREAD ^ answers


def _contexts(given: _Texts, own: np.ndarray, surprise: _Surprise) -> Contexts:
    runs = _runs_of(given.words, np.arange(len(given.items)))
    sizes = np.diff(given.words.offsets)
    short = sizes < RUN
    found_inside = ~short
    found_inside[short] = (sizes[short] >= SHORTEST_CONTEXT) & (
        surprise.of(_rows(given.words, short), given.sets[short]) >= SURPRISING
    )
    index = Grams(*runs.only(found_inside[runs.owners]), COMMON)
    # What is boilerplate is not asked of a context either.
    left = np.bincount(index.owners, minlength=len(given.items))
    keys = text_keys(given.words)
    order = np.argsort(keys, kind="stable")
    return Contexts(index, needed(left), given.items, own[given.sets], keys[order], order)


def _questions(items: list[Item], asked: _Texts, given: _Texts, surprise: _Surprise) -> Questions:
    both = np.flatnonzero((asked.of >= 0) & (given.of >= 0))
    pairs, first = np.unique(packed(asked.of[both], given.of[both]), return_index=True)
    stock = np.bincount(unpacked(pairs).left, minlength=len(asked.items)) > COMMON
    sizes = np.diff(asked.words.offsets)
    surprising = surprise.of(asked.words, asked.sets) >= SURPRISING
    alone = ((sizes >= RUN) | surprising) & ~stock
    runs = _runs_of(asked.words, 2 * np.arange(len(asked.items)) + alone)
    runs = runs.only(runs.lengths >= SHORTEST_QUESTION)
    # What follows a question may tell what the question itself does not.
    quiet = ~alone & ~stock & (sizes >= SHORTEST_QUESTION)
    followed = [
        _beginnings(list(_followed(items, asked.of, quiet, endings)), asked.sets, surprise)
        for endings in (_answers, _choices)
    ]
    index = Grams(*map(np.concatenate, zip(runs, *followed, strict=True)), COMMON)
    in_contexts = np.zeros(len(index.hashes), bool)
    in_contexts[index.shared(given.words).right] = True
    return Questions(
        index,
        in_contexts,
        asked.items,
        pairs,
        both[first],
        _answered(items, asked, stock, surprise),
    )


def _answered(
    items: list[Item], asked: _Texts, stock: np.ndarray, surprise: _Surprise
) -> np.ndarray:
    """Gives the keys of the questions that count with their answers, sorted."""
    pairs = [
        (question, f"{item.question} {answer}", answer)
        for item, question in zip(items, asked.of, strict=True)
        if question >= 0 and not stock[question]
        for answer in item.answers
    ]
    questions = np.array([question for question, _, _ in pairs], np.int64)
    answers = _words(answer for _, _, answer in pairs)
    together = surprise.of(_words(text for _, text, _ in pairs), asked.sets[questions])
    counted = (np.diff(answers.offsets) > 0) & (together >= SURPRISING)
    return np.unique(answer_keys(questions, text_keys(answers))[counted])


def _followed(
    items: list[Item],
    questions: np.ndarray,
    quiet: np.ndarray,
    endings: Callable[[Item], Iterable[str]],
) -> Iterator[tuple[int, str]]:
    """Gives each quiet question with what may follow it in a text."""
    for item, question in zip(items, questions, strict=True):
        if question >= 0 and quiet[question]:
            yield from ((question, f"{item.question} {ending}") for ending in endings(item))


def _answers(item: Item) -> Iterator[str]:
    """Gives how an answer follows its question: at once, after "A:" or after "Answer:"."""
    for answer in item.answers:
        yield from (answer, f"a {answer}", f"answer {answer}")


def _choices(item: Item) -> Iterator[str]:
    """Gives how choices follow their question: as they are, or with letters."""
    yield " ".join(item.choices)
    yield " ".join(
        f"{letter} {choice}" for letter, choice in zip("abcdefghij", item.choices, strict=False)
    )


def _beginnings(phrases: list[tuple[int, str]], sets: np.ndarray, surprise: _Surprise) -> _Runs:
    """Gives the first run of each phrase that surprises enough, as one that counts by itself."""
    questions = np.array([question for question, _ in phrases], np.int64)
    words = _words(text for _, text in phrases)
    lengths = np.minimum(np.diff(words.offsets), RUN)
    place = np.arange(len(words.hashes)) - np.repeat(words.offsets[:-1], np.diff(words.offsets))
    begun = Hashed(np.concatenate([[0], np.cumsum(lengths)]), words.hashes[place < RUN])
    runs = _runs_of(begun, 2 * questions + 1)
    return runs.only(surprise.of(begun, sets[questions]) >= SURPRISING)


def _runs_of(words: Hashed, owners: np.ndarray) -> _Runs:
    """Gives the runs of each text, which has at least a word, under its owner."""
    grams = ngrams(words, RUN)
    counts = np.diff(grams.offsets)
    lengths = np.minimum(np.diff(words.offsets), RUN)
    return _Runs(grams.hashes, np.repeat(owners, counts), np.repeat(lengths, counts))


class _Surprise:
    """How rare the words of a text are in its set."""

    def __init__(self, asked: _Texts, given: _Texts) -> None:
        # A question belongs to its first context; without one it is a text by itself.
        of = given.of[asked.items]
        alone = len(given.items) + np.arange(len(of))
        text_of = np.concatenate([np.where(of >= 0, of, alone), np.arange(len(given.items))])
        sizes = np.concatenate([np.diff(some.words.offsets) for some in (asked, given)])
        words = np.concatenate([_salted(some.words, some.sets) for some in (asked, given)])
        self._different, word = np.unique(words, return_inverse=True)
        pairs = np.unique(packed(word, np.repeat(text_of, sizes)))
        self._texts_with = np.bincount(unpacked(pairs).left, minlength=len(self._different))
        texts = np.concatenate([given.sets, asked.sets[of < 0]])
        self._texts_in = np.maximum(np.bincount(texts, minlength=1), LEAST_TEXTS)
        self._dull = _words(sorted(FUNCTION_WORDS | ASKING)).hashes

    def of(self, words: Hashed, sets: np.ndarray) -> np.ndarray:
        """Gives the surprise of each text, which is of the set beside it."""
        sizes = np.diff(words.offsets)
        sought = _salted(words, sets)
        # An answer's word that no question or context has is as rare as if one had it.
        known = matches(sought, self._different)
        texts_with = np.ones(len(sought), np.int64)
        texts_with[known.left] = self._texts_with[known.right]
        digits = np.log10(np.repeat(self._texts_in[sets], sizes) / texts_with)
        digits[np.isin(words.hashes, self._dull)] = 0
        # A word that is said again is no news.
        _, word = np.unique(sought, return_inverse=True)
        _, first = np.unique(
            packed(np.repeat(np.arange(len(sizes)), sizes), word), return_index=True
        )
        news = np.zeros(len(sought))
        news[first] = digits[first]
        return np.diff(np.concatenate([[0], np.cumsum(news)])[words.offsets])


def _salted(words: Hashed, sets: np.ndarray) -> np.ndarray:
    """Gives hashes that are different for the same word in different sets."""
    salt = (sets.astype(np.uint64) + np.uint64(1)) * _SPREAD
    return words.hashes ^ np.repeat(salt, np.diff(words.offsets))


def _texts(texts: list[str], sets: np.ndarray) -> _Texts:
    words = _words(texts)
    keys = text_keys(words) ^ ((sets.astype(np.uint64) + np.uint64(1)) * _SPREAD)
    _, first, of = np.unique(keys, return_index=True, return_inverse=True)
    is_first = np.zeros(len(texts), bool)
    is_first[first] = True
    is_first &= np.diff(words.offsets) > 0
    number = np.where(is_first, np.cumsum(is_first) - 1, -1)
    return _Texts(
        _rows(words, is_first), sets[is_first], np.flatnonzero(is_first), number[first][of]
    )


def _words(texts: Iterable[str]) -> Hashed:
    return word_hashes(pa.array(list(texts), pa.large_string()))


def _rows(words: Hashed, kept: np.ndarray) -> Hashed:
    """Gives the words of those texts that are `kept`."""
    sizes = np.diff(words.offsets)
    offsets = np.concatenate([[0], np.cumsum(sizes[kept])])
    return Hashed(offsets, words.hashes[np.repeat(kept, sizes)])
