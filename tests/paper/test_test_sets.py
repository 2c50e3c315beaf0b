"""The paper's test sets in the form that `evaluation` reads."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from bonito_assets.bonito_training.data_set import Opened
from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.test_set import read_test_set
from bonito_assets.paper import test_sets
from bonito_assets.paper.test_sets import CONVERTERS, FetchError, fetch, questions

_SQUAD = {"context": "The mill grinds rye.", "question": "What?", "answers": {"text": ["rye"] * 3}}
# Rows in the columns that the authors' templates name.
_ROWS = {
    "pubmed_qa": {
        "context": {"contexts": ["Rye was eaten.", "All were well."]},
        "question": "Is rye good?",
        "final_decision": "maybe",
    },
    "privacy_qa": {"text": "We keep no logs.", "question": "Are there logs?", "answer": "Relevant"},
    "squadshifts_nyt": _SQUAD,
    "squadshifts_amazon": _SQUAD,
    "squadshifts_reddit": _SQUAD,
    "contract_nli": {"premise": "The mill is let.", "hypothesis": "It is sold.", "label": 0},
    "vitaminc": {
        "evidence": "The mill has two wheels.",
        "claim": "It has more than one.",
        "label": "SUPPORTS",
    },
}


def _hub(monkeypatch, rows: list[dict]) -> None:
    found = Opened(datasets.Dataset.from_list(rows), "a" * 40, {})
    monkeypatch.setattr(test_sets, "opened", lambda data_set: found)


@pytest.mark.parametrize("corpus", CONVERTERS)
def test_what_is_fetched_is_a_test_set_that_evaluation_accepts(
    tmp_path: Path, monkeypatch, corpus: str
) -> None:
    _hub(monkeypatch, [_ROWS[corpus]] * 3)
    target = tmp_path / "tests" / f"{corpus}.jsonl"
    assert fetch(corpus, target) == 3
    metric = "squad" if corpus.startswith("squadshifts") else "choice_f1"
    made = read_test_set(str(target), Evaluation(test=str(target), metric=metric))
    assert len(made.questions) == 3
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("corpus", "changed", "label"),
    [
        ("pubmed_qa", {}, "Maybe"),
        ("privacy_qa", {}, "Yes"),
        ("privacy_qa", {"answer": "Irrelevant"}, "No"),
        ("contract_nli", {}, "No"),
        ("contract_nli", {"label": 1}, "Yes"),
        ("contract_nli", {"label": 2}, "Maybe"),
        ("vitaminc", {}, "Yes"),
        ("vitaminc", {"label": "REFUTES"}, "No"),
        ("vitaminc", {"label": "NOT ENOUGH INFO"}, "Maybe"),
    ],
)
def test_labels_become_the_words_that_bonitos_tasks_use(
    corpus: str, changed: dict, label: str
) -> None:
    (question,) = questions(corpus, [_ROWS[corpus] | changed])
    assert question["label"] == label
    assert label in question["choices"]


def test_a_hub_that_is_not_there_and_rows_of_another_form_write_nothing(
    tmp_path: Path, monkeypatch
) -> None:
    target = tmp_path / "vitaminc.jsonl"

    def away(data_set):
        raise ValueError("could not be loaded")

    monkeypatch.setattr(test_sets, "opened", away)
    with pytest.raises(FetchError, match=r"'vitaminc' cannot be had .*`bonito paper --fetch`"):
        fetch("vitaminc", target)
    _hub(monkeypatch, [{"evidence": "x", "label": "REFUTES"}])
    with pytest.raises(FetchError, match="'claim'"):
        fetch("vitaminc", target)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_test_set_of_ones_own_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"'letters' is none of the paper's sets.*evaluation.test"):
        fetch("letters", tmp_path / "letters.jsonl")


def test_answers_that_stand_twice_are_kept_once() -> None:
    (question,) = questions("squadshifts_nyt", [_SQUAD])
    assert json.dumps(question["answers"]) == '["rye"]'
