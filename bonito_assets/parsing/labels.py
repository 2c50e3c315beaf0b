"""The words in which task types give their labels, and the label that each word means.

The sets are those of the templates that Bonito was trained on. An instruction that names its set
("Yes, no, or maybe?") allows the words that it names and no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bonito_assets.parsing.words import OUTER_MARKS, normal

Words = Mapping[str, str]

_SEPARATORS = (" or ", "/", ",", "\n", ";", "|")
# What may stand between two label words of a list, besides one of the small words.
_BETWEEN = " ,/;|\n\t\"'“”‘’()-*•!?"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OPENING, _CLOSING = "\"'“‘(", "\"'”’)"
_SMALL_WORDS = (" or", " and", " a", " an", " the", ",or")

_YES_NO: Words = {"yes": "yes", "no": "no"}
_TRUE_FALSE: Words = {"true": "yes", "false": "no"}

_E, _N, _C = "entailment", "neutral", "contradiction"
_POSITIVE, _NEGATIVE, _NEUTRAL = "positive", "negative", "neutral"

SETS: dict[str, tuple[Words, ...]] = {
    "ynqa": (_YES_NO, _TRUE_FALSE),
    "coref": (_YES_NO, _TRUE_FALSE),
    "wsd": (_YES_NO, _TRUE_FALSE),
    "paraphrase_id": (_YES_NO, _TRUE_FALSE, {"equivalent": "yes", "not equivalent": "no"}),
    "te": (
        {"yes": _E, "no": "not_entailment"},
        {"true": _E, "false": "not_entailment"},
    ),
    "nli": (
        {"yes": _E, "maybe": _N, "no": _C},
        {"true": _E, "inconclusive": _N, "false": _C},
        {"true": _E, "neither": _N, "false": _C},
        {"always": _E, "sometimes": _N, "never": _C},
        {"correct": _E, "inconclusive": _N, "incorrect": _C},
        {"guaranteed": _E, "possible": _N, "impossible": _C},
    ),
    "sentiment": (
        {"positive": _POSITIVE, "negative": _NEGATIVE, "neutral": _NEUTRAL},
        {"good": _POSITIVE, "bad": _NEGATIVE},
        {"satisfied": _POSITIVE, "dissatisfied": _NEGATIVE},
        {"increase": _POSITIVE, "decrease": _NEGATIVE},
        {"flattering": _POSITIVE, "unflattering": _NEGATIVE},
        {"they loved it": _POSITIVE, "they didn't like it": _NEGATIVE},
        {"yes": "yes", "no": "no"},
    ),
}  # fmt: skip


class Vocabulary:
    """The label words of one task type."""

    def __init__(self, sets: tuple[Words, ...]) -> None:
        self.sets = sets
        self._any: dict[str, str] = {}
        for words in sets:
            self._any = {**words, **self._any}
        # The longest first: "not equivalent" ends with "equivalent".
        longest_first = sorted(self._any, key=len, reverse=True)
        self._by_last_part: dict[str, list[str]] = {}
        for word in longest_first:
            self._by_last_part.setdefault(word.rpartition(" ")[2], []).append(word)
        self._fitting: dict[frozenset[str], Words] = {}
        either = "|".join(map(re.escape, longest_first))
        # Bounded, as a long row of commas would otherwise be gone through again from each of them.
        self._next = re.compile(rf"\W{{0,6}}(?:or |and |an? |the )?\W{{0,3}}({either})\b")

    def parts(self, instruction: str) -> tuple[frozenset[str], str]:
        """Gives the label words that `instruction` names as its choices, and what else it says.

        Both are in lower case. Often none are named. Of several lists the last counts: a claim
        may hold label words too, and the choices are mostly named after it.
        """
        said = instruction.lower()
        for separator in _SEPARATORS:
            place = said.rfind(separator)
            while place >= 0:
                if last := self._next.match(said, place + len(separator)):
                    named, start = self._before(said, place)
                    if named:
                        return frozenset((*named, last[1])), _without(said, start, last.end())
                place = said.rfind(separator, 0, place)
        return frozenset(), said

    def _before(self, said: str, end: int) -> tuple[list[str], int]:
        """Gives the label words that end one after the other at `end`, and where they start."""
        named = []
        while True:
            before = said[:end].rstrip(_BETWEEN)
            if named and before.endswith(_SMALL_WORDS):
                before = before[: before.rindex(" ")].rstrip(_BETWEEN)
            last_part = before[len(before.rstrip(_LETTERS)) :]
            for word in self._by_last_part.get(last_part, ()):
                start = len(before) - len(word)
                if before.endswith(word) and not before[max(0, start - 1) : start].isalnum():
                    break
            else:
                return named, end
            named.append(word)
            end = start

    def label(self, named: frozenset[str], answer: str) -> str | None:
        """Gives the label that `answer` means, or None where the words named do not allow it."""
        word = answer.lower()
        if word not in self._any:
            word = normal(answer).strip(OUTER_MARKS)
            if word not in self._any:
                return None
        if not named:
            return self._any[word]
        if word not in named:
            return None
        if named not in self._fitting:
            fitting = (words for words in self.sets if named <= words.keys())
            self._fitting[named] = next(fitting, self._any)
        return self._fitting[named][word]


def _without(text: str, start: int, end: int) -> str:
    """Gives `text` without what stands from `start` to `end`, and without quotation marks on it."""
    start -= text[start - 1 : start] in _OPENING and start > 0
    end += text[end : end + 1] in _CLOSING and end < len(text)
    return f"{text[:start]} {text[end:]}"


VOCABULARIES = {task_type: Vocabulary(sets) for task_type, sets in SETS.items()}
