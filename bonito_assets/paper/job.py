"""The job: every corpus of a folder through generation, tuning of its arms and evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from bonito_assets import runs, settings
from bonito_assets.automation import inputs
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus
from bonito_assets.paper import results, table, test_sets
from bonito_assets.paper.results import Result
from bonito_assets.tuning.base_model import BaseModel
from resources.store import Store

_INTERRUPTED = "DagsterExecutionInterruptedError"

CORPORA = settings.PROJECT / "corpora_paper"


@dataclass
class Outcome:
    """Results in the order of the catalogue, and by corpus why there is none."""

    results: list[Result] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def selected(catalogue: Catalogue, only: Sequence[str]) -> list[Corpus]:
    """Gives the corpora of the catalogue, or those named; each must have a test set.

    Raises ``CatalogueError`` for one that is not there, not valid or without a test set.
    """
    chosen = [catalogue.corpus(name) for name in only or catalogue.names()]
    for corpus in chosen:
        if corpus.evaluation is None:
            raise CatalogueError(
                f"{catalogue.folder}: corpus '{corpus.name}' has no key 'evaluation', so there is "
                "nothing to put into the table; add it, or name other corpora with --only"
            )
    return chosen


def fetch_missing(corpora: Sequence[Corpus], report: Callable[[str, str], None]) -> None:
    """Fetches the paper's test sets that are not there yet; raises ``FetchError`` without the hub.

    All are there before the first corpus is begun: a job of days must not end for want of a file.
    """
    for corpus in corpora:
        test = corpus.path(corpus.evaluation.test)
        if "://" not in test and not Path(test).exists():
            number = test_sets.fetch(corpus.name, Path(test))
            report(corpus.name, f"fetched {number:,} questions")


def measure(
    opened: dg.DagsterInstance,
    store: Store,
    corpora: Sequence[Corpus],
    report: Callable[[str, str], None],
    again: bool = False,
) -> Outcome:
    """Refreshes each corpus and collects its scores; one that fails does not stop the others.

    Raises ``KeyboardInterrupt`` when a run was interrupted; what is measured by then is kept.

    What was measured before from the same catalogue file, test set and models is run only
    `again` on demand. The settings must name the folder of `corpora` as the catalogue.
    """
    outcome = Outcome()
    for corpus in corpora:
        known = None if again else results.saved(store, corpus.name)
        if known is not None and known.made_from == _key(corpus):
            report(corpus.name, "measured before, with the same settings")
            outcome.results.append(known)
            continue
        try:
            result = _measured(opened, store, corpus, report)
        except (runs.RunRefused, _Failed) as error:
            outcome.failures[corpus.name] = str(error)
            continue
        results.save(store, result)
        outcome.results.append(result)
    if outcome.results:
        with store.new_file(results.FOLDER, "table.md") as written:
            written.write(table.markdown(outcome.results).encode())
    return outcome


class _Failed(RuntimeError):
    """A corpus has no scores; the message says why."""


def _measured(
    opened: dg.DagsterInstance,
    store: Store,
    corpus: Corpus,
    report: Callable[[str, str], None],
) -> Result:
    inputs.report(opened, [corpus])
    runs.register(opened, [corpus.name])
    followed = runs.run(
        opened, corpus.name, None, lambda step, line: report(f"{corpus.name}: {step}", line)
    )
    failures = dict(followed.failures)
    # Dagster takes Ctrl-C for itself and ends the run; what it was meant for is the whole job.
    causes = list(failures.values()) or ["" if followed.success else _INTERRUPTED]
    if any(_INTERRUPTED in cause for cause in causes):
        raise KeyboardInterrupt
    # A check of the evaluation may refuse the release; its scores belong into the table still.
    refused = ""
    if failures.get("evaluation", "").startswith("check "):
        refused = failures.pop("evaluation")
    if failures:
        raise _Failed("; ".join(f"{step}: {cause}" for step, cause in failures.items()))
    folder = store.folder("evaluation", corpus.name)
    scores = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return results.measured(scores, settings.model(), _key(corpus), refused)


def _key(corpus: Corpus) -> str:
    base = BaseModel(name=settings.base_model()).resolve()
    return results.made_from(corpus, [settings.generator().resolve().fingerprint, base.fingerprint])
