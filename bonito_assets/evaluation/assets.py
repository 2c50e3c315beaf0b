"""The asset `evaluation`, the checks that tuning helped, and the gate that refuses a release."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from bonito_assets.catalogue import Catalogue, Corpus, corpora
from bonito_assets.checks import corpus_check
from bonito_assets.evaluation import answers_fit
from bonito_assets.evaluation.comparison import (
    TAPT,
    TUNED,
    Comparison,
    EvaluationError,
    compare,
)
from bonito_assets.evaluation.exam import prepare
from bonito_assets.evaluation.regression import general_questions
from bonito_assets.evaluation.report import (
    GAIN,
    HEADLINE,
    build,
    differences_table,
    fit_table,
    gain,
    labels_table,
    no_worse,
    plot,
    regression_table,
    scores_table,
    undamaged,
    with_test_set,
    write,
)
from bonito_assets.evaluation.scorers import open_arms
from bonito_assets.evaluation.scoring import ScoringError
from bonito_assets.evaluation.test_set import CHOICE, TestSetError, read_test_set
from bonito_assets.tuning.base_model import BaseModel, load_tokenizer
from bonito_assets.tuning.plots import as_markdown
from bonito_assets.tuning.prompts import Encoder
from bonito_assets.tuning.record import dataset_version, read_record
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
    deps=["tuned_model"],
    pool="gpu",
    group_name="evaluation",
    kinds={"pytorch", "scikitlearn"},
    owners=["team:bonito"],
    code_version="2",
    check_specs=[
        corpus_check(name, "evaluation", question, blocking)
        for name, (blocking, question, _) in _CHECKS.items()
    ],
)
def evaluation(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store, base_model: BaseModel
) -> dg.MaterializeResult:
    """Base and tuned model on the corpus's labelled test set, side by side.

    All arms get the same prompts. Classification takes the choice that the model finds most likely
    (macro-F1); free answers are compared with all gold answers (SQuAD F1). The gain over the base
    model, on questions that people wrote, is the one sign that the synthetic data was good. Two
    checks refuse the release: one when that gain is a loss, one when its answers do not fit.
    """
    corpus = catalogue.corpus(context.partition_key)
    started = time.monotonic()
    try:
        report, comparison = _evaluate(corpus, store, base_model, context.log.info)
    except (ModelError, TestSetError, EvaluationError, ScoringError) as error:
        raise dg.Failure(f"{corpus.name}: {error}", allow_retries=False) from error
    with store.new_folder("evaluation", corpus.name) as folder:
        write(folder, report, comparison)
    shown = _metadata(report) | {"seconds": round(time.monotonic() - started, 1)}
    content = json.dumps(report, sort_keys=True).encode()
    return dg.MaterializeResult(
        metadata={"dagster/uri": store.uri("evaluation", corpus.name), **shown},
        data_version=dg.DataVersion(hashlib.sha256(content).hexdigest()),
        check_results=[_check(name, report) for name in _CHECKS],
    )


def _evaluate(
    corpus: Corpus, store: Store, base_model: BaseModel, log: Callable[[str], None]
) -> tuple[dict[str, Any], Comparison]:
    own = corpus.evaluation
    test_set = None if own is None else read_test_set(corpus.path(own.test), own)
    base = base_model.resolve()
    adapters = _adapters(store.folder("tuned_model", corpus.name), base.name, base.fingerprint)
    training = read_record(adapters[TUNED])
    encoder = Encoder(load_tokenizer(base), training.get("prompt") or "auto")
    # vLLM writes one token after a prompt, and both engines get the same prompts.
    budget = min(corpus.tuning.max_tokens, base.max_tokens - 1)
    general = prepare(general_questions(), CHOICE, 1, encoder, budget)
    exam = None
    if test_set is not None:
        exam = prepare(test_set.questions, own.metric, own.templates, encoder, budget)
    rows = answers_fit.sample(store, corpus, _release(store, corpus.name, training))
    engine = own.engine if own else "auto"
    with open_arms(engine, base, adapters, budget, log) as arms:
        comparison = compare(arms, exam, general, rows, encoder, budget, log)
    report = build(corpus.name, comparison, training, encoder.frame)
    if test_set is not None:
        report = with_test_set(report, own, test_set, exam, comparison, budget)
    return report, comparison


def _adapters(tuned: Path, name: str, fingerprint: str) -> dict[str, Path]:
    """Gives the folders of the arms that were tuned, the baseline first."""
    baseline = tuned / "arms" / TAPT
    found = {TAPT: baseline} if (baseline / "training.json").exists() else {}
    found[TUNED] = tuned
    for arm, folder in found.items():
        trained = read_record(folder)["base_model"]
        if trained["fingerprint"] != fingerprint:
            raise EvaluationError(
                f"tuned_model ({arm}) was made from {trained['name']} and BONITO_BASE_MODEL is now "
                f"{name} with other weights; materialize tuned_model first"
            )
    return found


def _release(store: Store, corpus: str, training: dict[str, Any]) -> str:
    """Gives the Parquet files of the release that the model was tuned on, if it is still there."""
    dataset = store.folder("instruction_dataset", corpus)
    tuned_on = dataset / "releases" / str(training["dataset_version"])
    current = dataset_version(dataset) == training["dataset_version"] or not tuned_on.exists()
    return str((dataset if current else tuned_on) / "data" / "*.parquet")


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
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=sentence,
        metadata={"questions": report.get("n", 0)},
    )
