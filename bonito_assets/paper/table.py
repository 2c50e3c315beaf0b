"""The table: what was measured beside what the paper reports, both in percent F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bonito_assets.paper.published import FIGURES, READ, RECALLED, TAPT_MEAN
from bonito_assets.paper.results import Result

_ARMS = {"base": "no tuning", "tapt": "TAPT", "tuned": "Bonito"}


def rows(results: Sequence[Result]) -> list[dict[str, str]]:
    """Gives the rows of the table, each corpus and the means over those that all arms share.

    A figure that is not there is an empty string; published ones have a "?" as not verified.
    """
    made = [
        _row(
            result.corpus,
            f"{result.questions:,}",
            {arm: 100 * score for arm, score in result.arms.items()},
            "{:+.1f} to {:+.1f}".format(*(100 * end for end in result.gain)),
            FIGURES.get(result.corpus, {}),
        )
        for result in results
    ]
    if len(results) > 1:
        made.append(_row("mean", "", _means(results), "", _published_means(results)))
    return made


def _row(
    corpus: str,
    questions: str,
    scores: Mapping[str, float],
    gain: str,
    published: Mapping[str, float],
) -> dict[str, str]:
    row = {"corpus": corpus, "questions": questions}
    row |= {title: f"{scores[arm]:.1f}" if arm in scores else "" for arm, title in _ARMS.items()}
    row["gain of Bonito, 95%"] = gain
    for arm, title in _ARMS.items():
        row[f"paper: {title}"] = f"{published[arm]:.1f} ?" if arm in published else ""
    return row


def _means(results: Sequence[Result]) -> dict[str, float]:
    shared = [arm for arm in _ARMS if all(arm in result.arms for result in results)]
    return {arm: 100 * sum(r.arms[arm] for r in results) / len(results) for arm in shared}


def _published_means(results: Sequence[Result]) -> dict[str, float]:
    """Gives the published means, only where all seven sets are measured: else they mislead."""
    if {result.corpus for result in results} != set(FIGURES):
        return {}
    means = {
        arm: sum(figures[arm] for figures in FIGURES.values()) / len(FIGURES)
        for arm in ("base", "tuned")
    }
    return {**means, "tapt": TAPT_MEAN}


def notes(results: Sequence[Result]) -> list[str]:
    """Gives the sentences that belong under the table."""
    used = sorted({(result.model, result.base_model) for result in results})
    said = [f"Generated with {model}, tuned over {base}." for model, base in used]
    said.append("Scores in percent: macro-F1 of the likeliest choice, or SQuAD F1.")
    said += [f"{r.corpus}: the release was refused. {r.refused}" for r in results if r.refused]
    if any(result.corpus in FIGURES for result in results):
        said += [RECALLED, READ]
    return said


def markdown(results: Sequence[Result]) -> str:
    """Gives table and notes as Markdown."""
    made = rows(results)
    heads = list(made[0])
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    lines += [f"| {' | '.join(row.values())} |" for row in made]
    return "\n".join([*lines, "", *notes(results)]) + "\n"
