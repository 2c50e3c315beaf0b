"""Base and tuned model on the same prompts: what each says, and what that is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bonito_assets.evaluation.metrics import ChoiceArm, SquadArm, difference, majority
from bonito_assets.evaluation.scoring import greedy_answers, log_likelihoods
from bonito_assets.evaluation.test_set import CHOICE, Question
from bonito_assets.progress import Progress
from bonito_assets.tuning.base_model import load
from bonito_assets.tuning.prompts import Encoder
from resources.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# One wording for all corpora and both arms, close to what Bonito writes.
CHOICE_INPUT = "{context}\n\n{question}\n\nChoose one of these answers: {choices}."
SQUAD_INPUT = "{context}\n\n{question}\n\nAnswer with words from the text above."

# The paper allows 25 tokens of a vocabulary of 32,000; a small vocabulary needs more per word.
_ANSWER_TOKENS = 40


class EvaluationError(ValueError):
    """The two arms cannot be compared; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Asked:
    """A question as both arms get it: prompt tokens and, for choices, the tokens of each."""

    question: Question
    prompt: list[int]
    choices: list[list[int]]
    removed_chars: int


@dataclass(frozen=True)
class Comparison:
    """The arms' scores and one row per question of the test set.

    Scores of an arm are those of ``metrics.ChoiceArm`` or ``metrics.SquadArm``; a question whose
    prompt does not fit is in `predictions` with nulls and in no score.
    """

    arms: dict[str, dict[str, Any]]
    difference: dict[str, Any]
    majority: dict[str, Any] | None
    predictions: pa.Table
    left_out: list[str]
    shortened: int
    kept_share: float
    budget: int
    seconds: float


def input_text(question: Question, metric: str) -> str:
    """Gives the instruction for a question, its passage first."""
    if metric == CHOICE:
        return CHOICE_INPUT.format(
            context=question.context,
            question=question.question,
            choices=", ".join(question.choices),
        ).strip()
    return SQUAD_INPUT.format(context=question.context, question=question.question).strip()


def ask(question: Question, metric: str, encoder: Encoder, budget: int) -> Asked | None:
    """Gives a question as tokens, with its passage shortened to `budget`; None if it cannot fit."""
    choices = [encoder.answer(choice) for choice in question.choices]
    longest = max(map(len, choices)) if choices else _ANSWER_TOKENS
    fitted = encoder.fit(input_text(question, metric), question.context, longest, budget)
    if fitted is None:
        return None
    return Asked(question, encoder.prompt(fitted.text), choices, fitted.removed_chars)


def compare(
    base: Model,
    adapter: Path,
    questions: Sequence[Question],
    metric: str,
    budget: int,
    log: Callable[[str], None],
) -> Comparison:
    """Asks base and tuned model every question; prompt and answer take at most `budget` tokens.

    Raises ``EvaluationError`` when no question fits.
    """
    started = time.monotonic()
    model, tokenizer = load(base)  # first, since it settles how many threads torch gets
    from peft import PeftModel

    encoder = Encoder(tokenizer)
    budget = min(budget, base.max_tokens)
    asked, left_out = [], []
    for question in questions:
        one = ask(question, metric, encoder, budget)
        if one is None:
            left_out.append(question.id)
        else:
            asked.append(one)
    if not asked:
        raise EvaluationError(
            f"none of the {len(questions):,} questions fits into {budget:,} tokens; raise "
            "tuning.max_tokens, or choose a base model with a longer window"
        )
    judge = _choose if metric == CHOICE else _answer
    said = {"base": judge("base", model, encoder, asked, log)}
    tuned = PeftModel.from_pretrained(model, adapter).eval()
    if str(model.dtype) == "torch.float32":
        # A third faster, and exact enough in this precision only.
        tuned = tuned.merge_and_unload()
    said["tuned"] = judge("tuned", tuned, encoder, asked, log)
    removed = sum(one.removed_chars for one in asked)
    length = sum(len(one.question.context) for one in asked)
    scores = {name: arm.scores for name, arm in said.items()}
    return Comparison(
        arms={name: {**arm.scores.report(), **arm.also} for name, arm in said.items()},
        difference=difference(scores["base"], scores["tuned"], len(asked)),
        majority=majority([one.question.label for one in asked]) if metric == CHOICE else None,
        predictions=_predictions(questions, asked, said),
        left_out=left_out,
        shortened=sum(one.removed_chars > 0 for one in asked),
        kept_share=1 - removed / length if length else 1.0,
        budget=budget,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Said:
    """One arm: its scores, scores by another reading, and columns for the table of predictions."""

    scores: ChoiceArm | SquadArm
    also: dict[str, Any]
    columns: dict[str, list[Any]]


def _choose(
    name: str,
    model: PreTrainedModel,
    encoder: Encoder,
    asked: Sequence[Asked],
    log: Callable[[str], None],
) -> _Said:
    """Takes the choice with the greatest log-likelihood, its end token included.

    The sum is the paper's score; the mean per token, which does not favour short choices, is
    reported beside it.
    """
    progress = Progress(f"scoring {name}", len(asked), log)
    sums = log_likelihoods(
        model, [one.prompt for one in asked], [one.choices for one in asked], progress.advance
    )
    means = [
        [total / len(tokens) for total, tokens in zip(totals, one.choices, strict=True)]
        for totals, one in zip(sums, asked, strict=True)
    ]
    gold = [one.question.label for one in asked]
    by_sum, by_mean = _best(asked, sums), _best(asked, means)
    per_token = ChoiceArm(gold, by_mean).report()
    return _Said(
        scores=ChoiceArm(gold, by_sum),
        also={
            "length_normalised": {key: per_token[key] for key in ("macro_f1", "accuracy", "ci95")}
        },
        columns={
            "prediction": by_sum,
            "log_likelihoods": sums,
            "prediction_length_normalised": by_mean,
        },
    )


def _best(asked: Sequence[Asked], scores: Sequence[Sequence[float]]) -> list[str]:
    return [
        one.question.choices[max(range(len(row)), key=row.__getitem__)]
        for one, row in zip(asked, scores, strict=True)
    ]


def _answer(
    name: str,
    model: PreTrainedModel,
    encoder: Encoder,
    asked: Sequence[Asked],
    log: Callable[[str], None],
) -> _Said:
    """Takes the first line of the greedy answer."""
    progress = Progress(f"answering {name}", len(asked), log)
    written = greedy_answers(
        model, [one.prompt for one in asked], encoder.end, _ANSWER_TOKENS, progress.advance
    )
    answers = [encoder.text(tokens).strip().partition("\n")[0].strip() for tokens in written]
    scores = SquadArm([one.question.answers for one in asked], answers)
    return _Said(
        scores=scores,
        also={},
        columns={
            "answer": answers,
            "f1": scores.f1.tolist(),
            "exact_match": scores.exact_match.tolist(),
        },
    )


def _predictions(
    questions: Sequence[Question], asked: Sequence[Asked], said: dict[str, _Said]
) -> pa.Table:
    """Gives one row per question in the order of the test set; nulls where it was not asked."""
    place = {one.question.id: number for number, one in enumerate(asked)}
    columns: dict[str, list[Any]] = {
        "id": [question.id for question in questions],
        "question": [question.question for question in questions],
        "gold": [
            [question.label] if question.label else list(question.answers) for question in questions
        ],
        "choices": [list(question.choices) for question in questions],
        "removed_chars": [
            asked[place[question.id]].removed_chars if question.id in place else None
            for question in questions
        ],
    }
    for name, arm in said.items():
        for column, values in arm.columns.items():
            columns[f"{name}_{column}"] = [
                values[place[question.id]] if question.id in place else None
                for question in questions
            ]
    return pa.table(columns)
