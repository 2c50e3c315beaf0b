"""The report of a comparison: `report.json` for programs, `report.md` and `plot.png` for people.

Equal models, data and settings give equal bytes on a CPU: nothing in it tells the time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation import answers_fit
from bonito_assets.evaluation.comparison import Comparison
from bonito_assets.evaluation.exam import Exam
from bonito_assets.evaluation.scorers import BASE
from bonito_assets.evaluation.templates import templates
from bonito_assets.evaluation.test_set import CHOICE, TestSet
from bonito_assets.metadata import cell, markdown_table
from bonito_assets.tuning.plots import axes, png

REPORT = "report.json"
_PAGE, _PLOT, _PREDICTIONS = "report.md", "plot.png", "predictions.parquet"
HEADLINE = {CHOICE: "macro_f1", "squad": "f1"}
GAIN = "tuned - base"
# On fewer questions the bootstrap is no guide: of two, both may go wrong by chance, and then they
# do in every resample.
LEAST_QUESTIONS = 20
_SPELLED = {"macro_f1": "macro-F1", "f1": "F1"}
_COLOURS = ("#9aa5b1", "#c58b2a", "#2f6f9f")

NO_TEST_SET = (
    "the corpus has no test set: add a key 'evaluation' with 'test' (JSONL or Parquet with id, "
    "context, question, answers, and label and choices for classification) to its catalogue file, "
    "then materialize 'evaluation' again"
)


def build(
    corpus: str, comparison: Comparison, training: dict[str, Any], frame: str
) -> dict[str, Any]:
    """Gives what ``report.json`` holds for every corpus; see ``with_test_set`` for the rest.

    `training` is the tuned model's ``training.json``, `frame` the prompt with its place for the
    input. All scores lie in 0..1; every ``ci95`` is [low, high].
    """
    return {
        "corpus": corpus,
        "metric": None,
        "reason": NO_TEST_SET,
        "arms": {},
        "regression": comparison.regression,
        "answers_fit": comparison.answers_fit,
        "base_model": training["base_model"],
        "tuned_model": training["adapter_sha256"],
        "tuned_on": {"rows": training["rows"], "steps": training["steps"]},
        "dataset_version": training["dataset_version"],
        "prompt": frame,
    }


def with_test_set(
    report: dict[str, Any],
    evaluation: Evaluation,
    test_set: TestSet,
    exam: Exam,
    comparison: Comparison,
    budget: int,
) -> dict[str, Any]:
    """Gives `report` with the scores on the corpus's own test set."""
    scores = comparison.scores
    own = {
        "metric": evaluation.metric,
        "n": len(exam.asked),
        "left_out": exam.left_out,
        "majority": scores.majority,
        "arms": scores.arms,
        "differences": scores.differences,
        "test_set": {
            "path": test_set.path,
            "sha256": test_set.sha256,
            "limit": evaluation.limit,
        },
        "shortened": {
            "rows": exam.shortened,
            "kept_share_of_passages": 1 - exam.removed_share,
            "budget_tokens": budget,
            "how": "the end of the passage is cut at a word; question and choices stay whole",
        },
        "templates": _templates(exam),
    }
    return {key: value for key, value in report.items() if key != "reason"} | own


def _templates(exam: Exam) -> list[list[str]]:
    """Gives the wordings that were used, those of each kind of choices together."""
    used = {templates(exam.metric, one.question.choices) for one in exam.asked}
    return sorted(list(wordings[: exam.templates]) for wordings in used)


def write(folder: Path, report: dict[str, Any], comparison: Comparison) -> None:
    """Writes the files of a report into `folder`; the plot and predictions need a test set."""
    (folder / REPORT).write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / _PAGE).write_text(markdown(report), encoding="utf-8")
    if comparison.scores is not None:
        (folder / _PLOT).write_bytes(plot(report))
        pq.write_table(comparison.scores.predictions, folder / _PREDICTIONS)


def read_whole(folder: Path) -> dict[str, Any] | None:
    """Gives the report that ``write`` left in `folder`; None when a file is gone or it is cut."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    due = [_PAGE] if report["metric"] is None else [_PAGE, _PLOT, _PREDICTIONS]
    return report if all((folder / name).exists() for name in due) else None


# Verdicts


def gain(report: dict[str, Any]) -> tuple[bool, str]:
    """Tells whether the tuned model is better beyond chance, and says so in a sentence.

    Better means that the whole 95% interval of the difference lies above zero.
    """
    if report["metric"] is None:
        return True, f"Nothing to compare: {report['reason']}."
    low, _ = report["differences"][GAIN]["ci95"]
    tuned_on = report["tuned_on"]
    return low > 0, (
        f"{_change(report)} The adapter saw {tuned_on['rows']:,} rows in "
        f"{tuned_on['steps']:,} steps."
    )


def no_worse(report: dict[str, Any]) -> tuple[bool, str]:
    """Tells whether the tuned model is as good as the base model, as far as chance can tell.

    It is not when the whole 95% interval of the difference lies below zero, on 20 questions or
    more.
    """
    if report["metric"] is None:
        return True, f"Nothing to compare: {report['reason']}."
    if report["n"] < LEAST_QUESTIONS:
        return True, (
            f"{report['n']:,} questions are too few to refuse a release by; it takes "
            f"{LEAST_QUESTIONS}. {_change(report)}"
        )
    return report["differences"][GAIN]["ci95"][1] >= 0, _change(report)


def undamaged(report: dict[str, Any]) -> tuple[bool, str]:
    """Tells whether the tuned model does as well as the base on general questions."""
    suite = report["regression"]
    base, tuned = (suite["arms"][arm]["accuracy"] for arm in (BASE, "tuned"))
    low, high = suite["differences"][GAIN]["ci95"]
    return high >= 0, (
        f"Accuracy on {suite['n']:,} general questions went from {base:.3f} to {tuned:.3f} "
        f"({tuned - base:+.3f}, 95% interval {low:+.3f} to {high:+.3f}; guessing gives "
        f"{suite['chance']:.3f})."
    )


def _change(report: dict[str, Any]) -> str:
    name = HEADLINE[report["metric"]]
    base, tuned = (report["arms"][arm][name] for arm in (BASE, "tuned"))
    low, high = report["differences"][GAIN]["ci95"]
    if low > 0:
        end = "better than chance alone would explain"
    elif high < 0:
        end = "worse than chance alone would explain"
    else:
        end = "no difference that this many questions can tell from chance"
    return (
        f"{_SPELLED[name]} went from {base:.3f} to {tuned:.3f} on {report['n']:,} questions "
        f"({tuned - base:+.3f}, 95% interval {low:+.3f} to {high:+.3f}): {end}."
    )


# Tables


def scores_table(report: dict[str, Any]) -> str:
    """Gives the scores of all arms, and of the most frequent label, as a Markdown table."""
    name = HEADLINE[report["metric"]]
    rows = []
    for arm, scores in report["arms"].items():
        row = {"": arm} | {
            _SPELLED.get(key, key.replace("_", " ")): f"{value:.3f}"
            for key, value in scores.items()
            if isinstance(value, float)
        }
        row["95% interval"] = "{:.3f} to {:.3f}".format(*scores["ci95"])
        by_template = scores["templates"]["scores"]
        if len(by_template) > 1:
            row[f"{_SPELLED[name]} by template"] = ", ".join(f"{one:.3f}" for one in by_template)
        if "length_normalised" in scores:
            row["macro-F1, length-normalised"] = f"{scores['length_normalised']['macro_f1']:.3f}"
        rows.append(row)
    if report["majority"]:
        always = dict.fromkeys(rows[0], "")
        always |= {
            "": f"always '{report['majority']['label']}'",
            "macro-F1": f"{report['majority']['macro_f1']:.3f}",
            "accuracy": f"{report['majority']['accuracy']:.3f}",
        }
        rows.append(always)
    return markdown_table(rows)


def differences_table(report: dict[str, Any]) -> str:
    """Gives each arm's gain over each earlier one as a Markdown table."""
    name = HEADLINE[report["metric"]]
    return markdown_table(
        [
            {
                "arms": pair,
                _SPELLED[name]: f"{found[name]:+.3f}",
                "95% interval": "{:+.3f} to {:+.3f}".format(*found["ci95"]),
            }
            for pair, found in report["differences"].items()
        ]
    )


def labels_table(report: dict[str, Any]) -> str:
    """Gives F1, and how often each label is right and named, per label; empty for ``squad``."""
    arms = report["arms"]
    labels = {label for arm in arms.values() for label in arm.get("per_label", {})}
    rows = []
    for label in sorted(labels):
        row: dict[str, Any] = {"label": label}
        for name, arm in arms.items():
            scores = arm["per_label"].get(label, {"support": 0, "f1": 0.0, "predicted": 0})
            row["questions"] = max(row.get("questions", 0), scores["support"])
            row |= {
                f"F1 {name}": f"{scores['f1']:.3f}",
                f"named by {name}": f"{scores['predicted']:g}",
            }
        rows.append(row)
    return markdown_table(rows)


def regression_table(report: dict[str, Any]) -> str:
    """Gives the accuracy of all arms on the general questions as a Markdown table."""
    rows = []
    for arm, scores in report["regression"]["arms"].items():
        row = {"": arm, "accuracy": f"{scores['accuracy']:.3f}"}
        row["95% interval"] = "{:.3f} to {:.3f}".format(*scores["ci95"])
        rows.append(row | {skill: f"{one:.3f}" for skill, one in scores["per_skill"].items()})
    return markdown_table(rows)


def fit_table(report: dict[str, Any]) -> str:
    """Gives how well own answers fit, per task type, as a Markdown table."""
    return markdown_table(
        [
            {
                "task type": kind,
                "rows": found["rows"],
                "own answer wins": f"{found['own']:.3f}",
                "words of the own passage win": f"{found['known']:.3f}",
            }
            for kind, found in report["answers_fit"]["per_task_type"].items()
        ]
    )


def markdown(report: dict[str, Any]) -> str:
    """Gives the content of ``report.md``."""
    parts = [f"# Evaluation of the corpus {report['corpus']}", gain(report)[1]]
    if report["metric"] is not None:
        parts += _of_test_set(report)
    parts += [
        "## General questions",
        undamaged(report)[1],
        regression_table(report),
        "## Whether the answers of the release fit their inputs",
        answers_fit.verdict(report["answers_fit"])[1],
        fit_table(report),
        f"Base model: {cell(report['base_model']['name'])}. "
        f"Dataset version: {report['dataset_version']}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _of_test_set(report: dict[str, Any]) -> list[str]:
    cut, test_set = report["shortened"], report["test_set"]
    parts = [
        scores_table(report),
        "![scores before and after](plot.png)",
        differences_table(report),
        labels_table(report),
        "All arms get the same prompts, and scores are means over templates. Intervals are "
        "percentile bootstraps over the questions, those of differences over the same questions "
        "for both arms.",
        f"{cut['rows']:,} of {report['n']:,} passages were shortened to keep to "
        f"{cut['budget_tokens']:,} tokens ({cut['kept_share_of_passages']:.0%} of all passages' "
        f"characters were kept): {cut['how']}. An answer that stands in the part cut off cannot "
        "be found.",
    ]
    if report["left_out"]:
        parts.append(
            f"{len(report['left_out']):,} questions do not fit even so and are in no score."
        )
    parts.append(f"Test set: {cell(test_set['path'])} (sha256 {test_set['sha256'][:12]}).")
    return parts


def plot(report: dict[str, Any]) -> bytes:
    """Gives the headline score of all arms with intervals, and the majority line, as PNG."""
    name = HEADLINE[report["metric"]]
    arms = report["arms"]
    values = [arm[name] for arm in arms.values()]
    # A percentile interval need not hold the estimate itself; a bar cannot point backwards.
    low = [
        max(0.0, value - arm["ci95"][0]) for value, arm in zip(values, arms.values(), strict=True)
    ]
    high = [
        max(0.0, arm["ci95"][1] - value) for value, arm in zip(values, arms.values(), strict=True)
    ]
    figure, drawing = axes(f"{_SPELLED[name]} on {report['n']:,} questions, 95% intervals")
    colours = [_COLOURS[0], *_COLOURS[1 - len(arms) :]]
    bars = drawing.barh(list(arms), values, xerr=[low, high], color=colours, capsize=4)
    drawing.bar_label(bars, fmt="%.3f", label_type="center", color="white", fontsize=9)
    if report["majority"]:
        drawing.axvline(report["majority"][name], color="#b04a3f", linestyle="--", linewidth=1)
        drawing.text(
            report["majority"][name],
            0.5,
            " most frequent label",
            color="#b04a3f",
            fontsize=8,
            va="center",
        )
    drawing.set_xlim(0, 1)
    drawing.invert_yaxis()
    return png(figure)
