"""The job over a folder of corpora: what is run, what is kept, what happens when one fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bonito_assets import runs, settings
from bonito_assets.automation import inputs
from bonito_assets.catalogue import Catalogue, CatalogueError
from bonito_assets.paper import job, results
from bonito_assets.paper.published import FIGURES
from bonito_assets.paper.test_sets import CONVERTERS
from bonito_assets.runs import Followed
from resources.store import Store

_SEVEN = Catalogue(folder=str(job.CORPORA))


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    """A folder of three corpora and an empty store."""
    folder = tmp_path / "corpora"
    folder.mkdir()
    (folder / "test.jsonl").write_text("{}\n")
    for name in ("barley", "oats", "rye"):
        content = {
            "source": {"files": "none"},
            "task_types": ["ynqa"],
            "evaluation": {"test": "test.jsonl"},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("BONITO_MODEL", str(settings.DEMO_MODEL))
    monkeypatch.setenv("BONITO_BASE_MODEL", str(settings.DEMO_BASE_MODEL))
    monkeypatch.setattr(runs, "register", lambda *_: [])
    monkeypatch.setattr(inputs, "report", lambda *_: None)
    return Store(root=str(tmp_path / "data"))


class Runs:
    """Stands for real runs: writes each corpus's report, or fails as `failures` say."""

    def __init__(self, store: Store, **failures: dict[str, str]) -> None:
        self.store, self.failures, self.ran = store, failures, []

    def __call__(self, opened, corpus, to, report) -> Followed:
        self.ran.append(corpus)
        failures = self.failures.get(corpus, {})
        if not failures or "evaluation" in failures:
            scores = {"base": 0.2, "tuned": 0.4}
            made = {
                "corpus": corpus,
                "metric": "choice_f1",
                "n": 10,
                "arms": {arm: {"macro_f1": score} for arm, score in scores.items()},
                "differences": {"tuned - base": {"ci95": [0.1, 0.3]}},
                "base_model": {"name": "base"},
                "tuned_on": {"rows": 5, "steps": 1},
            }
            with self.store.new_folder("evaluation", corpus) as folder:
                (folder / "report.json").write_text(json.dumps(made))
        return Followed("run", not failures, {}, failures)


def _measure(store: Store, made: Runs, monkeypatch, **how) -> job.Outcome:
    monkeypatch.setattr(runs, "run", made)
    catalogue = Catalogue(folder=str(Path(store.root).parent / "corpora"))
    return job.measure(None, store, job.selected(catalogue, []), lambda *_: None, **how)


def test_every_corpus_of_the_folder_is_measured_and_the_table_is_kept(store, monkeypatch) -> None:
    outcome = _measure(store, Runs(store), monkeypatch)
    assert [result.corpus for result in outcome.results] == ["barley", "oats", "rye"]
    assert outcome.results[0].arms == {"base": 0.2, "tuned": 0.4}
    kept = (Path(store.root) / "paper" / "table.md").read_text()
    assert all(f"| {name} |" in kept for name in ("barley", "oats", "rye", "mean"))


def test_a_corpus_that_fails_stops_none_of_the_others(store, monkeypatch) -> None:
    outcome = _measure(store, Runs(store, oats={"chunks": "no text"}), monkeypatch)
    assert [result.corpus for result in outcome.results] == ["barley", "rye"]
    assert outcome.failures == {"oats": "chunks: no text"}


def test_what_was_measured_is_not_run_again_and_what_failed_is(store, monkeypatch) -> None:
    _measure(store, Runs(store, oats={"chunks": "no text"}), monkeypatch)
    second = Runs(store)
    outcome = _measure(store, second, monkeypatch)
    assert second.ran == ["oats"]
    assert [result.corpus for result in outcome.results] == ["barley", "oats", "rye"]


def test_everything_is_run_again_on_demand(store, monkeypatch) -> None:
    _measure(store, Runs(store), monkeypatch)
    second = Runs(store)
    _measure(store, second, monkeypatch, again=True)
    assert second.ran == ["barley", "oats", "rye"]


@pytest.mark.parametrize("changed", ["rye.yaml", "test.jsonl", "model"])
def test_what_was_measured_with_something_else_is_run_again(store, monkeypatch, changed) -> None:
    _measure(store, Runs(store), monkeypatch)
    if changed == "model":
        monkeypatch.setenv("BONITO_MODEL", str(settings.DEMO_BASE_MODEL))
    else:
        with (Path(store.root).parent / "corpora" / changed).open("a") as file:
            file.write("\n")
    second = Runs(store)
    _measure(store, second, monkeypatch)
    assert second.ran == (["rye"] if changed == "rye.yaml" else ["barley", "oats", "rye"])


def test_a_release_that_the_gate_refuses_still_has_its_scores(store, monkeypatch) -> None:
    gate = {"evaluation": "check release_is_not_worse failed: it is worse"}
    outcome = _measure(store, Runs(store, rye=gate), monkeypatch)
    assert outcome.results[2].refused == gate["evaluation"]
    assert outcome.failures == {}


def test_an_evaluation_that_breaks_has_no_scores_though_older_ones_lie_there(
    store, monkeypatch
) -> None:
    broken = {"evaluation": "the test set has no label"}
    outcome = _measure(store, Runs(store, rye=broken), monkeypatch)
    assert outcome.failures == {"rye": "evaluation: the test set has no label"}


@pytest.mark.parametrize("failures", [{"chunks": job._INTERRUPTED}, {}])
def test_an_interrupted_run_ends_the_job_and_keeps_what_was_measured(
    store, monkeypatch, failures
) -> None:
    class Interrupted(Runs):
        def __call__(self, opened, corpus, to, report) -> Followed:
            made = super().__call__(opened, corpus, to, report)
            return Followed("run", False, {}, failures) if corpus == "oats" else made

    made = Interrupted(store)
    with pytest.raises(KeyboardInterrupt):
        _measure(store, made, monkeypatch)
    assert made.ran == ["barley", "oats"]
    assert results.saved(store, "barley") is not None


def test_a_corpus_without_a_test_set_is_refused_before_anything_runs(store, tmp_path) -> None:
    folder = Path(store.root).parent / "corpora"
    (folder / "wheat.yaml").write_text("source: {files: none}\ntask_types: [ynqa]\n")
    with pytest.raises(CatalogueError, match=r"'wheat' has no key 'evaluation'.*--only"):
        job.selected(Catalogue(folder=str(folder)), [])
    assert len(job.selected(Catalogue(folder=str(folder)), ["rye"])) == 1


def test_the_catalogue_of_the_paper_holds_its_seven_sets() -> None:
    assert set(_SEVEN.names()) == set(FIGURES) == set(CONVERTERS)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_each_of_the_seven_is_generated_tuned_and_scored_as_in_the_paper(name: str) -> None:
    corpus = _SEVEN.corpus(name)
    assert corpus.source.dataset.path == "BatsResearch/bonito-experiment"
    assert corpus.source.dataset.name == f"unannotated_{name}"
    extractive = name.startswith("squadshifts")
    task_types = ["exqa"] if extractive else ["nli"] if "qa" not in name else ["ynqa"]
    assert corpus.task_types == (task_types if name != "vitaminc" else ["nli"])
    assert set(corpus.tuning.arms) == {"bonito", "tapt"}
    assert corpus.evaluation.metric == ("squad" if extractive else "choice_f1")
    assert corpus.evaluation.test == f"tests/{name}.jsonl"
