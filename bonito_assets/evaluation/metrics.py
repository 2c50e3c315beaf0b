"""Scores of one arm, and how far chance alone could have moved them. All scores lie in 0..1."""

from __future__ import annotations

import itertools
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_RESAMPLES = 1000
_SEED = 42

Statistic = Callable[[np.ndarray], float]


def interval(statistic: Statistic, rows: int) -> list[float]:
    """Gives the 95% interval of ``statistic(row numbers)`` over questions drawn anew.

    Percentile bootstrap with 1,000 resamples and a fixed seed, so that two arms are resampled
    alike (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13).
    """
    random = np.random.default_rng(_SEED)
    values = [statistic(random.integers(0, rows, rows)) for _ in range(_RESAMPLES)]
    return [float(value) for value in np.quantile(values, [0.025, 0.975])]


# Rank classification


def macro_f1(gold: np.ndarray, predicted: np.ndarray, labels: int) -> float:
    """Gives the mean F1 of the labels that occur in `gold`; both hold label numbers below `labels`.

    Labels that only the model names do not enter the mean (they already count as misses of the
    right label), so that both arms are averaged over the same labels.
    """
    support = np.bincount(gold, minlength=labels)
    guesses = np.bincount(predicted, minlength=labels)
    hits = np.bincount(gold[gold == predicted], minlength=labels)
    present = support > 0
    return float(np.mean(2 * hits[present] / (support[present] + guesses[present])))


class ChoiceArm:
    """The predictions of one arm for questions with choices, under one or more templates.

    ``predicted`` holds, for each template, the choices taken. Scores are means over templates, as
    in the Bonito paper; ``hits`` is templates x questions.
    """

    headline = "macro_f1"

    def __init__(self, gold: Sequence[str], predicted: Sequence[Sequence[str]]) -> None:
        self._gold, self._predicted = list(gold), [list(taken) for taken in predicted]
        names = sorted({*gold, *itertools.chain(*predicted)})
        number = {name: position for position, name in enumerate(names)}
        self._gold_codes = np.array([number[name] for name in gold])
        self._codes = np.array([[number[name] for name in taken] for taken in predicted])
        self._names = names
        self.hits = self._codes == self._gold_codes

    def score(self, rows: np.ndarray | None = None) -> float:
        """Gives the macro-F1, of the given row numbers or of all."""
        return float(np.mean(self._by_template(rows)))

    def report(self) -> dict[str, Any]:
        """Gives macro-F1, accuracy, interval of the macro-F1, and scores per template and label."""
        return {
            "macro_f1": self.score(),
            "accuracy": float(np.mean(self.hits)),
            "ci95": interval(self.score, len(self._gold)),
            "templates": spread(self._by_template()),
            "per_label": self._per_label(),
        }

    def _by_template(self, rows: np.ndarray | None = None) -> list[float]:
        gold, codes = self._gold_codes, self._codes
        if rows is not None:
            gold, codes = gold[rows], codes[:, rows]
        return [macro_f1(gold, taken, len(self._names)) for taken in codes]

    def _per_label(self) -> dict[str, dict[str, float]]:
        """Gives precision, recall and F1 as means over templates; `predicted` is a mean too."""
        from sklearn.metrics import precision_recall_fscore_support

        scores = np.mean(
            [
                precision_recall_fscore_support(
                    self._gold, taken, labels=self._names, zero_division=0
                )
                for taken in self._predicted
            ],
            axis=0,
        )
        named = Counter(itertools.chain(*self._predicted))
        return {
            label: {
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
                "predicted": named[label] / len(self._predicted),
            }
            for label, precision, recall, f1, support in zip(self._names, *scores, strict=True)
        }


def majority(gold: Sequence[str]) -> dict[str, Any]:
    """Gives the scores of always naming the most frequent label, the line to be passed."""
    label = min(Counter(gold).items(), key=lambda item: (-item[1], item[0]))[0]
    always = ChoiceArm(gold, [[label] * len(gold)])
    return {
        "label": label,
        "macro_f1": always.score(),
        "accuracy": Counter(gold)[label] / len(gold),
    }


# Extractive answers


def normalised(answer: str) -> str:
    """Gives an answer in lower case without punctuation, articles and doubled blanks.

    The normalisation of the official SQuAD v1.1 evaluation (Rajpurkar et al. 2016).
    """
    bare = "".join(char for char in answer.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def squad_scores(answer: str, golds: Sequence[str]) -> tuple[float, float]:
    """Gives F1 of the shared words and exact match (0 or 1), each against the best of all golds."""
    said = normalised(answer)
    return (
        max(_word_f1(said.split(), normalised(gold).split()) for gold in golds),
        float(max(said == normalised(gold) for gold in golds)),
    )


def _word_f1(said: list[str], gold: list[str]) -> float:
    shared = sum((Counter(said) & Counter(gold)).values())
    return 2 * shared / (len(said) + len(gold)) if shared else 0.0


class SquadArm:
    """The answers of one arm to questions with free answers, under one or more templates.

    ``answers`` holds one list for each template; ``f1`` and ``exact_match`` are templates x
    questions, and scores are means over templates.
    """

    headline = "f1"

    def __init__(self, golds: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]) -> None:
        pairs = np.array(
            [
                [squad_scores(answer, gold) for answer, gold in zip(given, golds, strict=True)]
                for given in answers
            ]
        )
        self.f1, self.exact_match = pairs[..., 0], pairs[..., 1]

    def score(self, rows: np.ndarray | None = None) -> float:
        """Gives the mean F1, of the given row numbers or of all."""
        return float(np.mean(self.f1 if rows is None else self.f1[:, rows]))

    def report(self) -> dict[str, Any]:
        """Gives mean F1, share of exact matches, interval of the F1 and F1 per template."""
        return {
            "f1": self.score(),
            "exact_match": float(np.mean(self.exact_match)),
            "ci95": interval(self.score, self.f1.shape[1]),
            "templates": spread(np.mean(self.f1, axis=1)),
        }


def spread(scores: Sequence[float]) -> dict[str, Any]:
    """Gives the scores of one arm under each template, and their standard deviation."""
    return {"scores": [float(score) for score in scores], "deviation": float(np.std(scores))}


def difference(one: ChoiceArm | SquadArm, other: ChoiceArm | SquadArm, rows: int) -> dict[str, Any]:
    """Gives `other` minus `one` in the headline score, with the interval over paired resamples."""
    return {
        one.headline: other.score() - one.score(),
        "ci95": interval(lambda drawn: other.score(drawn) - one.score(drawn), rows),
    }
