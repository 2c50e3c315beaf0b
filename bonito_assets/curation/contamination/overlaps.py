"""Which rows share what with a test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bonito_assets.catalogue import Corpus
from bonito_assets.curation.contamination.grams import Pairs, matches, packed, unpacked
from bonito_assets.curation.contamination.index import RUN, answer_keys, built, needed
from bonito_assets.curation.contamination.reading import Source, read_sources
from bonito_assets.curation.duplicates.words import Hashed, text_keys, word_hashes
from bonito_assets.identity import digest

# Rises when the same rows and sets may be judged otherwise.
_RULES = 1
_NONE = np.iinfo(np.int64).max


class Overlaps(NamedTuple):
    """What each row shares with the sets.

    ``contaminated_by`` is "set: id of a question", or null. ``transductive`` tells whether the
    passage is also a context of the corpus's own test set.
    """

    contaminated_by: pa.Array
    transductive: pa.Array


class _Set(NamedTuple):
    """What is remembered of a set besides the index."""

    name: str
    own: bool
    ids: list[str]


class TestSets:
    """The test set of a corpus and the sets that it must not overlap with.

    It holds hashes, and no text but the ids of questions.
    """

    __test__ = False  # pytest would take the class for a collection of tests

    def __init__(self, sources: list[Source]) -> None:
        self.names = tuple(source.name for source in sources)
        self.digest = digest(
            _RULES, [[source.name, source.own, source.sha256] for source in sources]
        )
        self._sets = [
            _Set(source.name, source.own, [item.id for item in source.items]) for source in sources
        ]
        self._starts = np.cumsum([0, *(len(some.ids) for some in self._sets)])
        if sources:
            self._questions, self._contexts = built(sources)

    @classmethod
    def read(cls, corpus: Corpus) -> TestSets:
        """Gives the sets that the catalogue names for `corpus`.

        Raises ``TestSetError``, which names file and row, for one that cannot be read.
        """
        return cls(read_sources(corpus))

    def __bool__(self) -> bool:
        return bool(self.names)

    def overlaps(self, batch: pa.RecordBatch) -> Overlaps:
        """Gives what each row of `batch` (input, output, passage) shares with the sets.

        A row is contaminated where

        - a question of a set stands in its instruction, answer or passage and tells enough to be
          no chance (see ``index``), or stands there with its answer;
        - its passage is a context of a set, and what the row asks is a question on that context;
        - its passage is a context of another set than the corpus's own.

        That the passage is a context of the corpus's own test set is the transductive setting, in
        which Nayak et al. (2024) work: it is told, and no reason by itself. What a row has in
        common with its passage counts as the passage's, so a claim that a test copied from its
        context is no reason against rows that quote the context. The rest of the batch plays no
        part. Passages that stand together in a batch are looked at once.
        """
        if not self:
            return Overlaps(pa.nulls(len(batch), pa.string()), pa.array(np.zeros(len(batch), bool)))
        items, transductive = self._overlaps(batch)
        names = [None if item == _NONE else self._name(item) for item in items]
        return Overlaps(pa.array(names, pa.string()), pa.array(transductive))

    def summary(self, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
        """Gives, for each set, its size and what of it was found in rows and passages.

        `batches` have the columns contaminated_by, transductive and chunk_id of `curated_tasks`.
        """
        rows: Counter[str] = Counter()
        passages = [pa.array([], pa.string())]
        for batch in batches:
            for found in pc.value_counts(batch["contaminated_by"].drop_null()).to_pylist():
                rows[found["values"]] += found["counts"]
            passages.append(pc.unique(batch["chunk_id"].filter(batch["transductive"])))
        transductive = len(pc.unique(pa.chunked_array(passages)))
        return [
            self._summary(number, rows, transductive if source.own else 0)
            for number, source in enumerate(self._sets)
        ]

    def _summary(self, number: int, rows: Counter[str], transductive: int) -> dict[str, Any]:
        of = self._sets[number]
        found = {name for id_ in of.ids if (name := f"{of.name}: {id_}") in rows}
        sets = np.searchsorted(self._starts, self._contexts.items, "right") - 1
        return {
            "set": of.name,
            "role": "own" if of.own else "against",
            "questions": len(of.ids),
            "contexts": int((sets == number).sum()),
            "questions_found": len(found),
            "rows": sum(rows[name] for name in found),
            "transductive_passages": transductive,
        }

    def _name(self, item: int) -> str:
        number = int(np.searchsorted(self._starts, item, "right")) - 1
        found = self._sets[number]
        return f"{found.name}: {found.ids[item - self._starts[number]]}"

    def _overlaps(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """Gives the item that each row overlaps with, or `_NONE`, and which are transductive."""
        texts = batch["passage"]
        if not pa.types.is_dictionary(texts.type):
            texts = texts.dictionary_encode()
        passage_of = texts.indices.fill_null(len(texts.dictionary)).to_numpy().astype(np.int64)
        # One more passage, without words, for rows that have none.
        words = word_hashes(
            pa.chunked_array([texts.dictionary, pa.array([""], texts.dictionary.type)])
        )
        contexts = self._contexts_in(words)
        asked = self._questions.runs.shared(words)
        by_passage, by_context, transductive = self._judged(len(words.offsets) - 1, asked, contexts)
        by_row = self._asked_by(batch, passage_of, asked, contexts)
        by_question = np.minimum(by_row, by_passage[passage_of])
        items = np.where(by_question == _NONE, by_context[passage_of], by_question)
        return items, transductive[passage_of]

    def _contexts_in(self, words: Hashed) -> Pairs:
        """Gives each passage beside each context that it has, or is."""
        index = self._contexts
        found, counts = np.unique(
            packed(*index.runs.owned(index.runs.shared(words))), return_counts=True
        )
        passages, contexts = unpacked(found)
        runs = np.maximum(np.diff(words.offsets) - RUN + 1, 1)
        enough = counts >= np.minimum(index.needed[contexts], needed(runs)[passages])
        whole, at = matches(text_keys(words), index.keys)
        return unpacked(np.union1d(found[enough], packed(whole, index.by_key[at])))

    def _judged(
        self, passages: int, asked: Pairs, contexts: Pairs
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gives, of each passage, the items whose question it has and whose context it is.

        `asked` are the runs of questions in it, and `_NONE` stands for no item. The third is
        whether it is a context of the own test set.
        """
        index = self._questions
        # What a context has too is looked at as a context.
        apart = ~index.in_contexts[asked.right]
        having, owners = index.runs.owned(Pairs(asked.left[apart], asked.right[apart]))
        alone = owners % 2 == 1
        own = self._contexts.own[contexts.right]
        transductive = np.zeros(passages, bool)
        transductive[contexts.left[own]] = True
        return (
            _first(passages, having[alone], index.items[owners[alone] // 2]),
            _first(passages, contexts.left[~own], self._contexts.items[contexts.right[~own]]),
            transductive,
        )

    def _asked_by(
        self, batch: pa.RecordBatch, passage_of: np.ndarray, asked: Pairs, contexts: Pairs
    ) -> np.ndarray:
        """Gives the item whose question stands in instruction or answer of each row, or `_NONE`.

        What the passage has too, of which `asked` tells, is the passage's.
        """
        index = self._questions
        outputs = word_hashes(batch["output"])
        shared = np.union1d(
            packed(*index.runs.shared(word_hashes(batch["input"]))),
            packed(*index.runs.shared(outputs)),
        )
        rows, runs = unpacked(shared)
        of_passage = np.isin(packed(passage_of[rows], runs), packed(*asked))
        rows, owners = index.runs.owned(Pairs(rows[~of_passage], runs[~of_passage]))
        questions = owners // 2
        counts = owners % 2 == 1
        answers = text_keys(outputs)[rows]
        counts |= np.isin(answer_keys(questions, answers), index.answered)
        by_itself = _first(len(batch), rows[counts], index.items[questions[counts]])

        on, at = matches(passage_of[rows], contexts.left)
        found, item = matches(packed(questions[on], contexts.right[at]), index.asked)
        on_context = _first(len(batch), rows[on[found]], index.asking_items[item])
        return np.minimum(by_itself, on_context)


def _first(texts: int, found: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Gives the first of the `items` that were found in each text, or `_NONE`."""
    first = np.full(texts, _NONE)
    np.minimum.at(first, found, items)
    return first
