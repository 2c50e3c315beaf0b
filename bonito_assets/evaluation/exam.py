"""Questions as every arm is asked them, and what one arm says to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bonito_assets.evaluation.metrics import ChoiceArm, SquadArm
from bonito_assets.evaluation.scorers import Scorer
from bonito_assets.evaluation.templates import templates, worded
from bonito_assets.evaluation.test_set import CHOICE, Question
from bonito_assets.progress import Progress
from bonito_assets.tuning.prompts import Encoder

Log = Callable[[str], None]

# The paper allows 25 tokens of a vocabulary of 32,000; a small vocabulary needs more per word.
_ANSWER_TOKENS = 40


@dataclass(frozen=True)
class Asked:
    """A question as all arms get it: a prompt per template, and the tokens of each choice.

    ``removed_chars`` is what the passage lost under the template that left least room.
    """

    question: Question
    prompts: list[list[int]]
    choices: list[list[int]]
    removed_chars: int


@dataclass(frozen=True)
class Exam:
    """Questions with a metric; what fits under every template is asked, the rest `left_out`."""

    metric: str
    templates: int
    questions: Sequence[Question]
    asked: list[Asked]
    left_out: list[str]

    @property
    def removed_share(self) -> float:
        """Gives the share of all passages' characters that was cut off."""
        length = sum(len(one.question.context) for one in self.asked)
        return sum(one.removed_chars for one in self.asked) / length if length else 0.0

    @property
    def shortened(self) -> int:
        """Gives the number of questions whose passage was shortened."""
        return sum(one.removed_chars > 0 for one in self.asked)


@dataclass(frozen=True)
class Said:
    """What one arm said: its scores, for choices the same by the mean per token, and columns.

    Values of ``columns`` are by template and then by question.
    """

    scores: ChoiceArm | SquadArm
    length_normalised: ChoiceArm | None
    columns: dict[str, list[list[Any]]]


def ask(question: Question, metric: str, count: int, encoder: Encoder, budget: int) -> Asked | None:
    """Gives a question under its first `count` templates, each with its passage cut to `budget`.

    `budget` is in tokens, prompt and answer together. None if the question cannot fit under one
    of the templates: scores are over the same questions for all.
    """
    choices = [encoder.answer(choice) for choice in question.choices]
    longest = max(map(len, choices)) if choices else _ANSWER_TOKENS
    prompts, removed = [], 0
    for template in templates(metric, question.choices)[:count]:
        text = worded(template, question)
        fitted = encoder.fit(text, question.context, longest, budget)
        if fitted is None:
            return None
        prompts.append(encoder.prompt(fitted.text))
        removed = max(removed, fitted.removed_chars)
    return Asked(question, prompts, choices, removed)


def prepare(
    questions: Sequence[Question], metric: str, count: int, encoder: Encoder, budget: int
) -> Exam:
    """Gives `questions` as an exam under `count` templates; see ``ask``."""
    asked, left_out = [], []
    for question in questions:
        one = ask(question, metric, count, encoder, budget)
        if one is None:
            left_out.append(question.id)
        else:
            asked.append(one)
    return Exam(metric, count, questions, asked, left_out)


def sit(exam: Exam, scorer: Scorer, encoder: Encoder, what: str, log: Log) -> Said:
    """Puts all questions of `exam` to one arm; `what` names it in lines of progress."""
    progress = Progress(what, len(exam.asked) * exam.templates, log)
    judge = _choose if exam.metric == CHOICE else _answer
    return judge(exam, scorer, encoder, progress)


def _choose(exam: Exam, scorer: Scorer, _encoder: Encoder, progress: Progress) -> Said:
    """Takes the choice with the greatest log-likelihood, its end token included.

    The sum is the paper's score; the mean per token, which does not favour short choices, is
    reported beside it.
    """
    sums = _by_template(
        exam,
        scorer.log_likelihoods(
            _prompts(exam),
            [one.choices for one in exam.asked for _ in one.prompts],
            progress.advance,
        ),
    )
    means = [
        [
            [total / len(tokens) for total, tokens in zip(totals, one.choices, strict=True)]
            for totals, one in zip(scores, exam.asked, strict=True)
        ]
        for scores in sums
    ]
    gold = [one.question.label for one in exam.asked]
    by_sum, by_mean = _best(exam, sums), _best(exam, means)
    return Said(
        ChoiceArm(gold, by_sum),
        ChoiceArm(gold, by_mean),
        {
            "prediction": by_sum,
            "log_likelihoods": sums,
            "prediction_length_normalised": by_mean,
        },
    )


def _best(exam: Exam, scores: list[list[list[float]]]) -> list[list[str]]:
    return [
        [
            one.question.choices[int(np.argmax(row))]
            for one, row in zip(exam.asked, rows, strict=True)
        ]
        for rows in scores
    ]


def _answer(exam: Exam, scorer: Scorer, encoder: Encoder, progress: Progress) -> Said:
    """Takes the first line of the greedy answer."""
    written = scorer.greedy_answers(_prompts(exam), encoder.end, _ANSWER_TOKENS, progress.advance)
    answers = [
        [encoder.text(tokens).strip().partition("\n")[0].strip() for tokens in given]
        for given in _by_template(exam, written)
    ]
    scores = SquadArm([one.question.answers for one in exam.asked], answers)
    return Said(
        scores,
        None,
        {
            "answer": answers,
            "f1": scores.f1.tolist(),
            "exact_match": scores.exact_match.tolist(),
        },
    )


def _prompts(exam: Exam) -> list[list[int]]:
    """Gives all prompts; those of one question follow each other, as they begin alike."""
    return [prompt for one in exam.asked for prompt in one.prompts]


def _by_template(exam: Exam, values: Sequence[Any]) -> list[list[Any]]:
    return [list(values[number :: exam.templates]) for number in range(exam.templates)]


def predictions(exam: Exam, said: dict[str, Said]) -> pa.Table:
    """Gives one row per question and template, in the order of the test set.

    A question that was not asked has one row, with nulls for the template and what the arms say.
    """
    place = {one.question.id: number for number, one in enumerate(exam.asked)}
    return pa.Table.from_pylist(list(_rows(exam, said, place)), schema=_schema(said))


def _schema(said: dict[str, Said]) -> pa.Schema:
    fields = [
        ("id", pa.string()),
        ("question", pa.string()),
        ("gold", pa.list_(pa.string())),
        ("choices", pa.list_(pa.string())),
        ("removed_chars", pa.int64()),
        ("template", pa.int64()),
    ]
    for name, arm in said.items():
        for column, values in arm.columns.items():
            fields.append((f"{name}_{column}", pa.infer_type(values[0])))
    return pa.schema(fields)


def _rows(exam: Exam, said: dict[str, Said], place: dict[str, int]) -> Iterator[dict[str, Any]]:
    for question in exam.questions:
        row = {
            "id": question.id,
            "question": question.question,
            "gold": [question.label] if question.label else list(question.answers),
            "choices": list(question.choices),
        }
        number = place.get(question.id)
        if number is None:
            yield row
            continue
        row["removed_chars"] = exam.asked[number].removed_chars
        for template in range(exam.templates):
            answered = {
                f"{name}_{column}": values[template][number]
                for name, arm in said.items()
                for column, values in arm.columns.items()
            }
            yield {**row, "template": template + 1, **answered}
