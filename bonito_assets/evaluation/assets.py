"""The asset `evaluation` and the check that tuning helped."""

import hashlib
import json
from typing import Any

import dagster as dg

from bonito_assets.catalogue import Catalogue, Corpus, corpora
from bonito_assets.checks import corpus_check
from bonito_assets.evaluation.comparison import Comparison, EvaluationError, compare
from bonito_assets.evaluation.report import (
    HEADLINE,
    NO_TEST_SET,
    build,
    labels_table,
    plot,
    scores_table,
    verdict,
    without_test_set,
    write,
)
from bonito_assets.evaluation.scoring import ScoringError
from bonito_assets.evaluation.test_set import TestSetError, read_test_set
from bonito_assets.tuning.base_model import BaseModel
from bonito_assets.tuning.plots import as_markdown
from bonito_assets.tuning.record import read_record
from resources.model import ModelError
from resources.store import Store

TUNED_BEATS_BASE = "tuned_beats_base"


@dg.asset(
    partitions_def=corpora,
    deps=["tuned_model"],
    pool="gpu",
    group_name="evaluation",
    kinds={"pytorch", "scikitlearn"},
    owners=["team:bonito"],
    code_version="1",
    check_specs=[
        corpus_check(
            TUNED_BEATS_BASE,
            "evaluation",
            "The tuned model scores better than the base model, beyond chance.",
            blocking=False,
        )
    ],
)
def evaluation(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, base_model: BaseModel
) -> dg.MaterializeResult:
    """Base and tuned model on the corpus's labelled test set, side by side.

    Both get the same prompts. Classification takes the choice that the model finds most likely
    (macro-F1); free answers are compared with all gold answers (SQuAD F1). The gain over the base
    model, on questions that people wrote, is the one sign that the synthetic data was good.
    """
    corpus = catalogue.corpus(context.partition_key)
    try:
        report, comparison = _evaluate(corpus, store, base_model, context)
    except (ModelError, TestSetError, EvaluationError, ScoringError) as error:
        raise dg.Failure(f"{corpus.name}: {error}", allow_retries=False) from error
    with store.new_folder("evaluation", corpus.name) as folder:
        write(folder, report, comparison)
    timeless = {key: value for key, value in report.items() if key != "seconds"}
    content = json.dumps(timeless, sort_keys=True).encode()
    return dg.MaterializeResult(
        metadata={"dagster/uri": store.uri("evaluation", corpus.name), **_metadata(report)},
        data_version=dg.DataVersion(hashlib.sha256(content).hexdigest()),
        check_results=[_judge(report)],
    )


def _evaluate(
    corpus: Corpus, store: Store, base_model: BaseModel, context: dg.AssetExecutionContext
) -> tuple[dict[str, Any], Comparison | None]:
    if corpus.evaluation is None:
        context.log.warning(f"{corpus.name}: {NO_TEST_SET}")
        return without_test_set(corpus.name), None
    test_set = read_test_set(corpus.path(corpus.evaluation.test), corpus.evaluation)
    base = base_model.resolve()
    adapter = store.folder("tuned_model", corpus.name)
    training = read_record(adapter)
    if training["base_model"]["fingerprint"] != base.fingerprint:
        raise EvaluationError(
            f"tuned_model was made from {training['base_model']['name']} and BONITO_BASE_MODEL is "
            f"now {base.name} with other weights; materialize tuned_model first"
        )
    comparison = compare(
        base,
        adapter,
        test_set.questions,
        corpus.evaluation.metric,
        corpus.tuning.max_tokens,
        context.log.info,
    )
    return build(corpus.name, corpus.evaluation, test_set, comparison, training), comparison


def _metadata(report: dict[str, Any]) -> dict[str, Any]:
    if report["metric"] is None:
        return {"reason": report["reason"]}
    name = HEADLINE[report["metric"]]
    shown = {
        "questions": report["n"],
        "questions left out": len(report["left_out"]),
        "passages shortened": report["shortened"]["rows"],
        f"{name} base": report["arms"]["base"][name],
        f"{name} tuned": report["arms"]["tuned"][name],
        f"{name} difference": report["difference"][name],
        "verdict": verdict(report)[1],
        "scores": dg.MetadataValue.md(scores_table(report)),
        "before and after": dg.MetadataValue.md(as_markdown(plot(report), "scores of both arms")),
        "seconds": report["seconds"],
    }
    if report["majority"]:
        shown["scores per label"] = dg.MetadataValue.md(labels_table(report))
        shown[f"{name} of the most frequent label"] = report["majority"][name]
    return shown


def _judge(report: dict[str, Any]) -> dg.AssetCheckResult:
    if report["metric"] is None:
        better, sentence, count = True, f"Nothing to compare: {report['reason']}.", 0
    else:
        (better, sentence), count = verdict(report), report["n"]
    return dg.AssetCheckResult(
        check_name=TUNED_BEATS_BASE,
        passed=better,
        severity=dg.AssetCheckSeverity.WARN,
        description=sentence,
        metadata={"questions": count},
    )
