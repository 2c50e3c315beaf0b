"""Scores of one arm, and how far chance alone could have moved them. All scores lie in 0..1."""

from __future__ import annotations

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
    """The predictions of one arm for questions with choices."""

    headline = "macro_f1"

    def __init__(self, gold: Sequence[str], predicted: Sequence[str]) -> None:
        self._gold, self._predicted = list(gold), list(predicted)
        names = sorted({*gold, *predicted})
        number = {name: position for position, name in enumerate(names)}
        self._codes = tuple(
            np.array([number[name] for name in side]) for side in (self._gold, self._predicted)
        )
        self._labels = len(names)

    def score(self, rows: np.ndarray | None = None) -> float:
        """Gives the macro-F1, of the given row numbers or of all."""
        gold, predicted = self._codes if rows is None else (side[rows] for side in self._codes)
        return macro_f1(gold, predicted, self._labels)

    def report(self) -> dict[str, Any]:
        """Gives macro-F1, accuracy, interval of the macro-F1 and the scores per label."""
        from sklearn.metrics import accuracy_score, precision_recall_fscore_support

        labels = sorted({*self._gold, *self._predicted})
        columns = precision_recall_fscore_support(
            self._gold, self._predicted, labels=labels, zero_division=0
        )
        return {
            "macro_f1": self.score(),
            "accuracy": float(accuracy_score(self._gold, self._predicted)),
            "ci95": interval(self.score, len(self._gold)),
            "per_label": {
                label: {
                    "precision": float(precision),
                    "recall": float(recall),
                    "f1": float(f1),
                    "support": int(support),
                    "predicted": self._predicted.count(label),
                }
                for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
            },
        }


def majority(gold: Sequence[str]) -> dict[str, Any]:
    """Gives the scores of always naming the most frequent label, the line to be passed."""
    label = min(Counter(gold).items(), key=lambda item: (-item[1], item[0]))[0]
    always = ChoiceArm(gold, [label] * len(gold))
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
    """The answers of one arm to questions with free answers."""

    headline = "f1"

    def __init__(self, golds: Sequence[Sequence[str]], answers: Sequence[str]) -> None:
        pairs = [squad_scores(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        self.f1, self.exact_match = (np.array(column) for column in zip(*pairs, strict=True))

    def score(self, rows: np.ndarray | None = None) -> float:
        """Gives the mean F1, of the given row numbers or of all."""
        return float(np.mean(self.f1 if rows is None else self.f1[rows]))

    def report(self) -> dict[str, Any]:
        """Gives mean F1, share of exact matches and the interval of the F1."""
        return {
            "f1": self.score(),
            "exact_match": float(np.mean(self.exact_match)),
            "ci95": interval(self.score, len(self.f1)),
        }


def difference(
    base: ChoiceArm | SquadArm, tuned: ChoiceArm | SquadArm, rows: int
) -> dict[str, Any]:
    """Gives tuned minus base in the headline score, with the interval over paired resamples."""
    return {
        base.headline: tuned.score() - base.score(),
        "ci95": interval(lambda drawn: tuned.score(drawn) - base.score(drawn), rows),
    }
