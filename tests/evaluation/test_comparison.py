"""Base, baseline and tuned model on the same questions, with real (tiny) models."""

import json

import pytest

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.answers_fit import Row
from bonito_assets.evaluation.comparison import EvaluationError, compare
from bonito_assets.evaluation.exam import prepare
from bonito_assets.evaluation.report import build, gain, markdown, with_test_set, write
from bonito_assets.evaluation.scorers import open_arms
from bonito_assets.evaluation.test_set import Question, TestSet
from bonito_assets.tuning.record import read_record

GENERAL = [
    Question(f"{skill}-{n}", "", f"who {n} ?", (), "it", ("it", "the stork"))
    for skill in ("one", "two")
    for n in range(3)
]
ROWS = [
    Row(f"g{n}", "exqa", f"the river {n} rises .\n\nwho ?", f"river {n}", f"the river {n} rises .")
    for n in range(8)
]


def choice(number, label="no"):
    return Question(
        f"q{number}", f"the river {number} .", "is it spring ?", ("no",), label, ("yes", "no")
    )


def evaluated(base, adapters, encoder, questions, metric, templates, lines=None, engine="auto"):
    """The comparison and the report made of it, as the asset makes them."""
    log = (lines if lines is not None else []).append
    exam = prepare(questions, metric, templates, encoder, 200)
    general = prepare(GENERAL, "choice_f1", 1, encoder, 200)
    with open_arms(engine, base, adapters, 200, log) as arms:
        found = compare(arms, exam, general, ROWS, encoder, 200, log)
    report = build("meadows", found, read_record(adapters["tuned"]), encoder.frame)
    settings = Evaluation(test="t", metric=metric, templates=templates)
    test_set = TestSet(questions, "t.jsonl", "0" * 64)
    return found, with_test_set(report, settings, test_set, exam, found, 200)


@pytest.fixture(scope="module")
def choices(base, adapter, encoder):
    questions = [choice(n, "no" if n % 3 else "yes") for n in range(24)]
    lines = []
    adapters = {"tapt": adapter, "tuned": adapter}
    found, report = evaluated(base, adapters, encoder, questions, "choice_f1", 2, lines)
    return found, report, lines


def test_the_tuned_arm_says_what_the_adapter_was_tuned_to_say(choices):
    found, report, lines = choices
    for row in found.scores.predictions.to_pylist():
        (base_yes, base_no), (yes, no) = row["base_log_likelihoods"], row["tuned_log_likelihoods"]
        assert row["tuned_prediction"] == "yes"
        assert yes - no > base_yes - base_no + 1
    assert report["arms"]["tuned"]["accuracy"] == pytest.approx(8 / 24)
    assert any("scoring tuned: 48 of 48" in line for line in lines)


def test_the_prediction_is_the_choice_with_the_greatest_sum(choices):
    for row in choices[0].scores.predictions.to_pylist():
        scores = row["tuned_log_likelihoods"]
        assert row["tuned_prediction"] == row["choices"][scores.index(max(scores))]


def test_every_pair_of_arms_has_its_difference_over_the_same_questions(choices):
    report = choices[1]
    assert list(report["arms"]) == ["base", "tapt", "tuned"]
    assert list(report["differences"]) == ["tapt - base", "tuned - base", "tuned - tapt"]
    # Both arms are one adapter here: no resample of the same questions can tell them apart.
    assert report["differences"]["tuned - tapt"] == {"macro_f1": 0.0, "ci95": [0.0, 0.0]}
    assert report["arms"]["tapt"] == report["arms"]["tuned"]


def test_all_arms_answer_the_general_questions(choices):
    suite = choices[1]["regression"]
    assert (suite["n"], suite["chance"]) == (6, 0.5)
    assert set(suite["arms"]) == {"base", "tapt", "tuned"}
    assert set(suite["arms"]["base"]["per_skill"]) == {"one", "two"}


def test_the_base_model_judges_the_release(choices):
    fit = choices[1]["answers_fit"]
    assert (fit["rows"], fit["share"]) == (8, None)
    assert "only 8 rows" in fit["reason"]


def test_a_report_has_every_key_and_file(choices, adapter, tmp_path):
    found, report, _ = choices
    write(tmp_path, report, found)
    read = json.loads((tmp_path / "report.json").read_text())
    assert set(read) == {
        "corpus", "metric", "n", "left_out", "majority", "arms", "differences", "regression",
        "answers_fit", "test_set", "base_model", "tuned_model", "tuned_on", "dataset_version",
        "shortened", "templates", "prompt",
    }  # fmt: skip
    assert (read["n"], read["majority"]["label"]) == (24, "no")
    for arm in read["arms"].values():
        assert set(arm) == {
            "macro_f1", "accuracy", "ci95", "per_label", "templates", "length_normalised"
        }  # fmt: skip
        assert len(arm["templates"]["scores"]) == 2
        assert arm["macro_f1"] == pytest.approx(sum(arm["templates"]["scores"]) / 2)
    assert read["tuned_model"] == read_record(adapter)["adapter_sha256"]
    assert read["test_set"] == {"path": "t.jsonl", "sha256": "0" * 64, "limit": None}
    assert "{input}" in read["prompt"]
    assert (tmp_path / "report.md").read_text() == markdown(report)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "predictions.parquet").exists()


def test_equal_models_and_questions_give_equal_bytes(base, adapter, encoder, tmp_path):
    questions = [choice(n, "no" if n % 3 else "yes") for n in range(6)]
    folders = tmp_path / "one", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
        found, report = evaluated(base, {"tuned": adapter}, encoder, questions, "choice_f1", 2)
        write(folder, report, found)
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["plot.png", "predictions.parquet", "report.json", "report.md"]
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_free_answers_are_scored_against_all_golds(base, adapter, encoder, tmp_path):
    questions = [
        Question(f"q{n}", "the river", "is it spring ?", ("maybe", "Yes.")) for n in range(4)
    ]
    found, report = evaluated(base, {"tuned": adapter}, encoder, questions, "squad", 1)
    assert report["arms"]["tuned"] == {
        "f1": 1.0,
        "exact_match": 1.0,
        "ci95": [1.0, 1.0],
        "templates": {"scores": [1.0], "deviation": 0.0},
    }
    assert report["arms"]["base"]["f1"] < 1
    assert {row["tuned_answer"] for row in found.scores.predictions.to_pylist()} == {"yes"}
    assert report["majority"] is None
    assert gain(report)[0]
    write(tmp_path, report, found)


def test_a_window_too_small_for_every_question_is_an_error(base, adapter, encoder):
    small = prepare([choice(1)], "choice_f1", 1, encoder, 32)
    general = prepare(GENERAL, "choice_f1", 1, encoder, 200)
    with (
        open_arms("transformers", base, {"tuned": adapter}, 32, print) as arms,
        pytest.raises(EvaluationError, match="none of the 1 questions fits into 32 tokens"),
    ):
        compare(arms, small, general, [], encoder, 32, print)
