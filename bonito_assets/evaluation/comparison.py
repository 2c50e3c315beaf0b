"""All arms on the same prompts: what each says, what that is worth, and what the data is worth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bonito_assets.evaluation import answers_fit, regression
from bonito_assets.evaluation.exam import Exam, Log, Said, predictions, sit
from bonito_assets.evaluation.metrics import difference, majority
from bonito_assets.evaluation.scorers import BASE, Arms
from bonito_assets.evaluation.test_set import CHOICE
from bonito_assets.tuning.prompts import Encoder

TUNED = "tuned"
TAPT = "tapt"


class EvaluationError(ValueError):
    """The arms cannot be compared; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Scores:
    """What the arms are worth on the corpus's own test set.

    Scores of an arm are those of ``metrics.ChoiceArm`` or ``metrics.SquadArm``; ``differences``
    are named "tuned - base". ``predictions`` holds what each arm said to each question.
    """

    arms: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Any]]
    majority: dict[str, Any] | None
    predictions: pa.Table


@dataclass(frozen=True)
class Comparison:
    """What an evaluation found; ``scores`` is None for a corpus without a test set."""

    scores: Scores | None
    regression: dict[str, Any]
    answers_fit: dict[str, Any]


def compare(
    arms: Arms,
    exam: Exam | None,
    general: Exam,
    rows: Sequence[answers_fit.Row],
    encoder: Encoder,
    budget: int,
    log: Log,
) -> Comparison:
    """Asks each arm all questions of the corpus's `exam` and of the `general` suite.

    The base model, which comes first, also judges whether the answers of `rows` fit.
    Raises ``EvaluationError`` when no question of an exam fits into `budget` tokens.
    """
    for one in filter(None, (exam, general)):
        _require_questions(one, budget)
    said: dict[str, Said] = {}
    hits = {}
    compared: dict[str, list[answers_fit.Compared]] = {}
    for name, scorer in arms:
        if exam is not None:
            said[name] = sit(exam, scorer, encoder, f"scoring {name}", log)
        suite = sit(general, scorer, encoder, f"general questions to {name}", log)
        [hits[name]] = suite.scores.hits
        if name == BASE:
            compared = answers_fit.compare(rows, scorer, encoder, budget, log)
    return Comparison(
        scores=None if exam is None else _scores(exam, said),
        regression=regression.report([one.question for one in general.asked], hits),
        answers_fit=answers_fit.report(compared),
    )


def _require_questions(exam: Exam, budget: int) -> None:
    if not exam.asked:
        raise EvaluationError(
            f"none of the {len(exam.questions):,} questions fits into {budget:,} tokens; raise "
            "tuning.max_tokens, or choose a base model with a longer window"
        )


def _scores(exam: Exam, said: dict[str, Said]) -> Scores:
    arms = {}
    for name, arm in said.items():
        arms[name] = arm.scores.report()
        if arm.length_normalised is not None:
            by_mean = arm.length_normalised.report()
            kept = ("macro_f1", "accuracy", "ci95", "templates")
            arms[name]["length_normalised"] = {key: by_mean[key] for key in kept}
    choices = exam.metric == CHOICE
    return Scores(
        arms=arms,
        differences={
            f"{later} - {earlier}": difference(
                said[earlier].scores, said[later].scores, len(exam.asked)
            )
            for earlier, later in itertools.combinations(said, 2)
        },
        majority=majority([one.question.label for one in exam.asked]) if choices else None,
        predictions=predictions(exam, said),
    )
