import json

import pytest

from bonito_assets.catalogue import Evaluation
from bonito_assets.evaluation.comparison import EvaluationError, ask, compare
from bonito_assets.evaluation.report import build, verdict, without_test_set, write
from bonito_assets.evaluation.test_set import Question, TestSet
from bonito_assets.tuning.record import read_record

LONG = "the river rises in spring and floods meadows " * 60


def choice(number, label="no", context="the river rises ."):
    return Question(f"q{number}", context, "is it spring ?", ("no",), label, ("yes", "no"))


@pytest.fixture(scope="module")
def choices(base, adapter):
    questions = [choice(n, "no" if n % 3 else "yes") for n in range(12)]
    questions += [
        choice(12, context=LONG),
        Question("q13", "it", LONG * 2, ("no",), "no", ("yes", "no")),
    ]
    lines = []
    found = compare(base, adapter, questions, "choice_f1", 200, lines.append)
    return questions, found, lines


def report_of(found, questions, adapter, metric):
    return build(
        "meadows",
        Evaluation(test="t", metric=metric),
        TestSet(questions, "t.jsonl", "0" * 64),
        found,
        read_record(adapter),
    )


def test_a_question_shows_its_passage_then_the_question_then_the_choices(encoder, tokenizer):
    asked = ask(choice(1), "choice_f1", encoder, 200)
    assert tokenizer.decode(asked.prompt) == (
        "<s><|input|>\nthe river rises .\n\nis it spring ?\n\n"
        "Choose one of these answers: yes, no.\n<|output|>\n"
    )
    assert [tokenizer.decode(tokens) for tokens in asked.choices] == ["yes</s>", "no</s>"]


def test_only_the_passage_is_shortened(encoder, tokenizer):
    asked = ask(choice(1, context=LONG.strip()), "choice_f1", encoder, 150)
    text = tokenizer.decode(asked.prompt)
    assert len(asked.prompt) + max(map(len, asked.choices)) <= 150
    assert text.startswith("<s><|input|>\nthe river rises in spring")
    assert text.endswith(
        "\n\nis it spring ?\n\nChoose one of these answers: yes, no.\n<|output|>\n"
    )
    assert asked.removed_chars > 1000


def test_the_tuned_arm_says_what_the_adapter_was_tuned_to_say(choices):
    _, found, lines = choices
    predictions = found.predictions.to_pylist()
    assert {row["tuned_prediction"] for row in predictions[:13]} == {"yes"}
    for row in predictions[:13]:
        (base_yes, base_no), (yes, no) = row["base_log_likelihoods"], row["tuned_log_likelihoods"]
        assert yes - no > base_yes - base_no + 1
    assert found.arms["tuned"]["accuracy"] == pytest.approx(4 / 13)
    assert any("scoring tuned: 13 of 13" in line for line in lines)


def test_every_question_is_in_the_predictions_with_its_scores_or_nulls(choices):
    questions, found, _ = choices
    rows = found.predictions.to_pylist()
    assert [row["id"] for row in rows] == [question.id for question in questions]
    assert found.left_out == ["q13"]
    assert rows[13]["base_log_likelihoods"] is None
    assert len(rows[0]["base_log_likelihoods"]) == 2
    assert (found.shortened, rows[12]["removed_chars"] > 0) == (1, True)


def test_the_prediction_is_the_choice_with_the_greatest_sum(choices):
    for row in choices[1].predictions.to_pylist()[:13]:
        scores = row["tuned_log_likelihoods"]
        assert row["tuned_prediction"] == row["choices"][scores.index(max(scores))]


def test_a_report_of_choices_has_every_key_and_file(choices, adapter, tmp_path):
    questions, found, _ = choices
    report = report_of(found, questions, adapter, "choice_f1")
    write(tmp_path, report, found)
    read = json.loads((tmp_path / "report.json").read_text())
    assert set(read) == {
        "corpus", "metric", "n", "left_out", "majority", "arms", "difference", "test_set",
        "base_model", "tuned_model", "dataset_version", "shortened", "templates", "seconds",
    }  # fmt: skip
    assert read["n"] == 13
    assert read["majority"]["label"] == "no"
    for arm in ("base", "tuned"):
        assert set(read["arms"][arm]) == {
            "macro_f1", "accuracy", "ci95", "per_label", "length_normalised"
        }  # fmt: skip
    assert set(read["difference"]) == {"macro_f1", "ci95"}
    assert read["tuned_model"] == read_record(adapter)["adapter_sha256"]
    assert read["test_set"] == {"path": "t.jsonl", "sha256": "0" * 64, "limit": None}
    text = (tmp_path / "report.md").read_text()
    assert "1 of 13 passages were shortened to keep to 200 tokens" in text
    assert "1 questions do not fit" in text
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "predictions.parquet").exists()


def test_free_answers_are_scored_against_all_golds(base, adapter, tmp_path):
    questions = [
        Question(f"q{n}", "the river", "is it spring ?", ("maybe", "Yes.")) for n in range(4)
    ]
    found = compare(base, adapter, questions, "squad", 200, lambda line: None)
    assert found.arms["tuned"] == {"f1": 1.0, "exact_match": 1.0, "ci95": [1.0, 1.0]}
    assert found.arms["base"]["f1"] < 1
    assert {row["tuned_answer"] for row in found.predictions.to_pylist()} == {"yes"}
    report = report_of(found, questions, adapter, "squad")
    assert report["majority"] is None
    assert verdict(report)[0]
    write(tmp_path, report, found)


def test_a_window_too_small_for_every_question_is_an_error(base, adapter):
    with pytest.raises(EvaluationError, match="none of the 1 questions fits into 32 tokens"):
        compare(base, adapter, [choice(1)], "choice_f1", 32, lambda line: None)


@pytest.mark.parametrize(
    ("ci95", "better", "words"),
    [
        ([0.02, 0.2], True, "better than chance"),
        ([-0.02, 0.2], False, "no difference"),
        ([-0.2, -0.1], False, "worse than chance"),
    ],
)
def test_tuned_beats_base_only_when_the_whole_interval_says_so(ci95, better, words):
    report = {
        "metric": "choice_f1",
        "n": 60,
        "arms": {"base": {"macro_f1": 0.4}, "tuned": {"macro_f1": 0.5}},
        "difference": {"ci95": ci95},
    }
    passed, sentence = verdict(report)
    assert passed is better
    assert words in sentence
    assert "60 questions" in sentence


def test_a_corpus_without_test_set_has_a_report_that_says_how_to_get_one(tmp_path):
    write(tmp_path, without_test_set("meadows"), None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["metric"], report["arms"]) == (None, {})
    assert "add a key 'evaluation'" in report["reason"]
