"""The report of a comparison: `report.json` for programs, `report.md` and `plot.png` for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.comparison import CHOICE_INPUT, SQUAD_INPUT, Comparison
from bonito_assets.evaluation.test_set import CHOICE, TestSet
from bonito_assets.metadata import cell, markdown_table
from bonito_assets.tuning.plots import axes, png
from bonito_assets.tuning.prompts import PROMPT

REPORT = "report.json"
HEADLINE = {CHOICE: "macro_f1", "squad": "f1"}
_SPELLED = {"macro_f1": "macro-F1", "f1": "F1"}

NO_TEST_SET = (
    "the corpus has no test set: add a key 'evaluation' with 'test' (JSONL or Parquet with id, "
    "context, question, answers, and label and choices for classification) to its catalogue file, "
    "then materialize 'evaluation' again"
)


def build(
    corpus: str,
    evaluation: Evaluation,
    test_set: TestSet,
    comparison: Comparison,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Gives the content of ``report.json``; `training` is the tuned model's ``training.json``.

    All scores lie in 0..1; every ``ci95`` is [low, high] for the headline score of the metric.
    """
    return {
        "corpus": corpus,
        "metric": evaluation.metric,
        "n": comparison.predictions.num_rows - len(comparison.left_out),
        "left_out": comparison.left_out,
        "majority": comparison.majority,
        "arms": comparison.arms,
        "difference": comparison.difference,
        "test_set": {
            "path": test_set.path,
            "sha256": test_set.sha256,
            "limit": evaluation.limit,
        },
        "base_model": training["base_model"],
        "tuned_model": training["adapter_sha256"],
        "dataset_version": training["dataset_version"],
        "shortened": {
            "rows": comparison.shortened,
            "kept_share_of_passages": comparison.kept_share,
            "budget_tokens": comparison.budget,
            "how": "the end of the passage is cut at a word; question and choices stay whole",
        },
        "templates": {
            "prompt": PROMPT,
            "input": CHOICE_INPUT if evaluation.metric == CHOICE else SQUAD_INPUT,
        },
        "seconds": round(comparison.seconds, 1),
    }


def without_test_set(corpus: str) -> dict[str, Any]:
    """Gives the content of ``report.json`` of a corpus whose catalogue file names no test set."""
    return {"corpus": corpus, "metric": None, "arms": {}, "reason": NO_TEST_SET}


def write(folder: Path, report: dict[str, Any], comparison: Comparison | None) -> None:
    """Writes the files of a report into `folder`; without comparison there is only the JSON."""
    (folder / REPORT).write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    if comparison is not None:
        (folder / "report.md").write_text(markdown(report), encoding="utf-8")
        (folder / "plot.png").write_bytes(plot(report))
        pq.write_table(comparison.predictions, folder / "predictions.parquet")


def verdict(report: dict[str, Any]) -> tuple[bool, str]:
    """Tells whether the tuned model is better beyond chance, and says so in a sentence.

    Better means that the whole 95% interval of the difference lies above zero.
    """
    name = HEADLINE[report["metric"]]
    base, tuned = (report["arms"][arm][name] for arm in ("base", "tuned"))
    low, high = report["difference"]["ci95"]
    better = low > 0
    if better:
        end = "better than chance alone would explain"
    elif high < 0:
        end = "worse than chance alone would explain"
    else:
        end = "no difference that this many questions can tell from chance"
    return better, (
        f"{_SPELLED[name]} went from {base:.3f} to {tuned:.3f} on {report['n']:,} questions "
        f"({tuned - base:+.3f}, 95% interval {low:+.3f} to {high:+.3f}): {end}."
    )


def scores_table(report: dict[str, Any]) -> str:
    """Gives the scores of both arms, and of the most frequent label, as a Markdown table."""
    rows = []
    for arm, scores in report["arms"].items():
        row = {"": arm} | {
            _SPELLED.get(key, key.replace("_", " ")): f"{value:.3f}"
            for key, value in scores.items()
            if isinstance(value, float)
        }
        row["95% interval"] = "{:.3f} to {:.3f}".format(*scores["ci95"])
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
            row |= {f"F1 {name}": f"{scores['f1']:.3f}", f"named by {name}": scores["predicted"]}
        rows.append(row)
    return markdown_table(rows)


def markdown(report: dict[str, Any]) -> str:
    """Gives the content of ``report.md``."""
    cut = report["shortened"]
    parts = [
        f"# Evaluation of the corpus {report['corpus']}",
        verdict(report)[1],
        scores_table(report),
        "![scores before and after](plot.png)",
        labels_table(report),
        "Both arms get the same prompts. Intervals are percentile bootstraps over the questions.",
        f"{cut['rows']:,} of {report['n']:,} passages were shortened to keep to "
        f"{cut['budget_tokens']:,} tokens ({cut['kept_share_of_passages']:.0%} of all passages' "
        f"characters were kept): {cut['how']}. An answer that stands in the part cut off cannot "
        "be found.",
    ]
    if report["left_out"]:
        parts.append(
            f"{len(report['left_out']):,} questions do not fit even so and are in no score."
        )
    test_set = report["test_set"]
    parts.append(
        f"Test set: {cell(test_set['path'])} (sha256 {test_set['sha256'][:12]}). "
        f"Base model: {cell(report['base_model']['name'])}. "
        f"Dataset version: {report['dataset_version']}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def plot(report: dict[str, Any]) -> bytes:
    """Gives the headline score of both arms with intervals, and the majority line, as PNG."""
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
    bars = drawing.barh(
        list(arms), values, xerr=[low, high], color=["#9aa5b1", "#2f6f9f"], capsize=4
    )
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
