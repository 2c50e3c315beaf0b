"""A small suite of general questions, so that damage outside the corpus's own task shows.

Tuning on short answers can blunt a model for what it was not tuned on. The suite is four times 35
questions with three choices: plain knowledge, arithmetic, following an instruction to the letter,
and reading. Written for this project, under its licence; it is far too easy to rank good models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.metrics import interval
from bonito_assets.evaluation.test_set import CHOICE, Question, read_test_set

SUITE = Path(__file__).with_name("general.jsonl")


def general_questions() -> list[Question]:
    """Gives the questions; what stands before the dash of an id is the skill."""
    return read_test_set(str(SUITE), Evaluation(test=str(SUITE), metric=CHOICE)).questions


def report(questions: Sequence[Question], hits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Gives accuracy by arm and skill, and each arm's difference to the first, with intervals.

    `hits` holds a truth value per question for each arm, the base model first. ``chance`` is the
    accuracy of guessing.
    """
    skills = np.array([question.id.partition("-")[0] for question in questions])
    arms = {name: np.asarray(right, dtype=float) for name, right in hits.items()}
    base, *others = arms
    return {
        "n": len(questions),
        "chance": float(np.mean([1 / len(question.choices) for question in questions])),
        "arms": {
            name: {
                "accuracy": float(right.mean()),
                "ci95": interval(lambda rows, right=right: right[rows].mean(), len(right)),
                "per_skill": {
                    str(skill): float(right[skills == skill].mean()) for skill in np.unique(skills)
                },
            }
            for name, right in arms.items()
        },
        "differences": {
            f"{name} - {base}": _difference(arms[name] - arms[base]) for name in others
        },
    }


def _difference(gain: np.ndarray) -> dict[str, Any]:
    return {
        "accuracy": float(gain.mean()),
        "ci95": interval(lambda rows: gain[rows].mean(), len(gain)),
    }
