"""A refresh of an evaluation: what it depends on, and the report, anew where that changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonito_assets.catalogue import Corpus
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
from bonito_assets.evaluation.report import build, read_whole, with_test_set, write
from bonito_assets.evaluation.scorers import open_arms
from bonito_assets.evaluation.test_set import CHOICE, Question, TestSet, read_test_set
from bonito_assets.identity import digest
from bonito_assets.tuning.base_model import BaseModel, load_tokenizer
from bonito_assets.tuning.prompts import Encoder
from bonito_assets.tuning.record import adapter_digest, dataset_version, read_record
from bonito_assets.tuning.unchanged import arm_folder
from resources.model import Model
from resources.store import Store

# The code version of the asset: to be raised when the same models and questions would get another
# report than before, so that published ones are made again.
CODE = "3"

# What the report tells of the training, beside the digest of the adapter that came of it.
_TOLD = ("dataset_version", "rows", "steps", "prompt")


@dataclass(frozen=True)
class Inputs:
    """All that an evaluation depends on, read and checked.

    ``adapters`` are the folders of the tuned arms, ``training`` is the record of the one that is
    published, ``rows`` are those of the release whose answers are judged.
    """

    corpus: Corpus
    base: Model
    adapters: dict[str, Path]
    training: dict[str, Any]
    test_set: TestSet | None
    general: list[Question]
    rows: list[answers_fit.Row]

    def made_from(self) -> dict[str, Any]:
        """Gives what decides the report, as it stands there; texts by their digest.

        The machine is not part of it: a report made on another one is the one asked for.
        """
        own, test_set = self.corpus.evaluation, self.test_set
        return {
            "code": CODE,
            "base_model": {"name": self.base.name, "fingerprint": self.base.fingerprint},
            "adapters": {arm: adapter_digest(folder) for arm, folder in self.adapters.items()},
            "training": {name: self.training.get(name) for name in _TOLD},
            "max_tokens": self.corpus.tuning.max_tokens,
            "evaluation": own and own.model_dump(),
            "test_set": test_set and {"path": test_set.path, "sha256": test_set.sha256},
            "general_questions": digest(*(asdict(question) for question in self.general)),
            "answers": digest(*(asdict(row) for row in self.rows)),
        }


def refresh(
    corpus: Corpus,
    store: Store,
    base_model: BaseModel,
    again: bool,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Publishes the evaluation of `corpus` and gives its report.

    The published one stays where nothing that decides it has changed, unless `again`.
    Raises ``ModelError``, ``TestSetError``, ``EvaluationError`` and ``ScoringError``.
    """
    found = inputs(corpus, store, base_model)
    made_from = found.made_from()
    published = None if again else store.published("evaluation", corpus.name)
    earlier = published and read_whole(published)
    if earlier and earlier.get("made_from") == made_from:
        log("unchanged: nothing was evaluated")
        return earlier
    report, comparison = evaluate(found, log)
    report = report | {"made_from": made_from}
    with store.new_folder("evaluation", corpus.name) as folder:
        write(folder, report, comparison)
    return report


def inputs(corpus: Corpus, store: Store, base_model: BaseModel) -> Inputs:
    """Reads what an evaluation of `corpus` depends on, and checks that it fits together.

    Raises ``ModelError``, ``TestSetError`` and ``EvaluationError``.
    """
    own = corpus.evaluation
    test_set = None if own is None else read_test_set(corpus.path(own.test), own)
    base = base_model.resolve()
    adapters = _adapters(store.folder("tuned_model", corpus.name), base.name, base.fingerprint)
    training = read_record(adapters[TUNED])
    rows = answers_fit.sample(store, corpus, _release(store, corpus.name, training))
    return Inputs(corpus, base, adapters, training, test_set, general_questions(), rows)


def evaluate(given: Inputs, log: Callable[[str], None]) -> tuple[dict[str, Any], Comparison]:
    """Gives the report on all arms, and what was found to make it of."""
    corpus, base, test_set = given.corpus, given.base, given.test_set
    own = corpus.evaluation
    encoder = Encoder(load_tokenizer(base), given.training.get("prompt") or "auto")
    # vLLM writes one token after a prompt, and both engines get the same prompts.
    budget = min(corpus.tuning.max_tokens, base.max_tokens - 1)
    general = prepare(given.general, CHOICE, 1, encoder, budget)
    exam = None
    if test_set is not None:
        exam = prepare(test_set.questions, own.metric, own.templates, encoder, budget)
    engine = own.engine if own else "auto"
    with open_arms(engine, base, given.adapters, budget, log) as arms:
        comparison = compare(arms, exam, general, given.rows, encoder, budget, log)
    report = build(corpus.name, comparison, given.training, encoder.frame)
    if test_set is not None:
        report = with_test_set(report, own, test_set, exam, comparison, budget)
    return report, comparison


def _adapters(tuned: Path, name: str, fingerprint: str) -> dict[str, Path]:
    """Gives the folders of the arms that were tuned, the baseline first."""
    baseline = arm_folder(tuned, TAPT)
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
