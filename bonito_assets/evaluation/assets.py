"""The asset `evaluation`, the checks that tuning helped, and the gate that refuses a release."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from bonito_assets.automation.conditions import AFTER_A_CRASH, WHEN_CHANGED
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.checks import corpus_check, judged
from bonito_assets.evaluation import answers_fit
from bonito_assets.evaluation.comparison import TUNED, EvaluationError
from bonito_assets.evaluation.refresh import CODE, refresh
from bonito_assets.evaluation.report import (
    GAIN,
    HEADLINE,
    differences_table,
    fit_table,
    gain,
    labels_table,
    no_worse,
    plot,
    regression_table,
    scores_table,
    undamaged,
)
from bonito_assets.evaluation.scoring import ScoringError
from bonito_assets.evaluation.test_set import TestSetError
from bonito_assets.metadata import capped, link, placed
from bonito_assets.operations.logs import log_link
from bonito_assets.tuning.again import AgainConfig
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.plots import as_markdown
from resources.engine_log import engine_log
from resources.model import ModelError
from resources.store import Store

# Each check: whether it stops the run, what it asks, and who answers from the report.
_Judge = Callable[[dict[str, Any]], tuple[bool, str]]
_CHECKS: dict[str, tuple[bool, str, _Judge]] = {
    "release_is_not_worse": (
        True,
        "The model tuned on the release is no worse than the base model, beyond chance.",
        no_worse,
    ),
    "answers_fit": (
        True,
        "The release's answers belong to their inputs: they fit better than answers of other rows.",
        lambda report: answers_fit.verdict(report["answers_fit"]),
    ),
    "tuned_beats_base": (
        False,
        "The tuned model scores better than the base model, beyond chance.",
        gain,
    ),
    "no_damage": (
        False,
        "The tuned model does as well as the base model on general questions.",
        undamaged,
    ),
}


@dg.asset(
    partitions_def=corpora,
    deps=["tuned_model", "evaluation_settings", "test_sets", "base_model_setting"],
    automation_condition=WHEN_CHANGED,
    retry_policy=AFTER_A_CRASH,
    pool="gpu",
    group_name="evaluation",
    kinds={"pytorch", "scikitlearn"},
    owners=["team:bonito"],
    tags={"stage": "training", "device": "gpu"},
    code_version=CODE,
    check_specs=[
        corpus_check(name, "evaluation", question, blocking)
        for name, (blocking, question, _) in _CHECKS.items()
    ],
)
def evaluation(
    context: dg.AssetExecutionContext,
    config: AgainConfig,
    catalogue: Catalogue,
    store: Store,
    base_model: BaseModel,
) -> dg.MaterializeResult:
    """Base and tuned model on the corpus's labelled test set, side by side.

    All arms get the same prompts. Classification takes the choice that the model finds most likely
    (macro-F1); free answers are compared with all gold answers (SQuAD F1). The gain over the base
    model, on questions that people wrote, is the one sign that the synthetic data was good. Two
    checks refuse the release: one when that gain is a loss, one when its answers do not fit.
    Where nothing that decides has changed, the published report stays and is checked again.
    """
    corpus = catalogue.corpus(context.partition_key)
    started = time.monotonic()
    try:
        with engine_log(store.root, context.run.run_id, "evaluation") as log_file:
            report = refresh(corpus, store, base_model, config.again, context.log.info)
    except (ModelError, TestSetError, EvaluationError, ScoringError) as error:
        raise dg.Failure(f"{corpus.name}: {error}", allow_retries=False) from error
    shown = _metadata(report) | {"seconds": round(time.monotonic() - started, 1)}
    shown |= log_link(log_file)
    content = json.dumps(report, sort_keys=True).encode()
    place = store.uri("evaluation", corpus.name)
    return dg.MaterializeResult(
        metadata=capped({**placed(place), "report": link(f"{place}/report.md"), **shown}),
        data_version=dg.DataVersion(hashlib.sha256(content).hexdigest()),
        check_results=[_check(name, report) for name in _CHECKS],
    )


def _metadata(report: dict[str, Any]) -> dict[str, Any]:
    fit = report["answers_fit"]
    shown: dict[str, Any] = {
        "accuracy on general questions": dg.MetadataValue.md(regression_table(report)),
        "answers that fit no better than a stranger's": fit["share"]
        if fit["share"] is not None
        else fit["reason"],
    }
    if fit["per_task_type"]:
        shown["how well answers fit"] = dg.MetadataValue.md(fit_table(report))
    if report["metric"] is None:
        return {"reason": report["reason"], **shown}
    name = HEADLINE[report["metric"]]
    shown |= {
        "questions": report["n"],
        "questions left out": len(report["left_out"]),
        "passages shortened": report["shortened"]["rows"],
        f"{name} base": report["arms"]["base"][name],
        f"{name} tuned": report["arms"][TUNED][name],
        f"{name} difference": report["differences"][GAIN][name],
        "verdict": gain(report)[1],
        "scores": dg.MetadataValue.md(scores_table(report)),
        "differences": dg.MetadataValue.md(differences_table(report)),
        "before and after": dg.MetadataValue.md(as_markdown(plot(report), "scores of all arms")),
    }
    if report["majority"]:
        shown["scores per label"] = dg.MetadataValue.md(labels_table(report))
        shown[f"{name} of the most frequent label"] = report["majority"][name]
    return shown


def _check(name: str, report: dict[str, Any]) -> dg.AssetCheckResult:
    blocking, _, judge = _CHECKS[name]
    passed, sentence = judge(report)
    numbers = {"questions": report.get("n", 0)}
    return judged(name, passed, sentence, numbers, warns=not blocking)
