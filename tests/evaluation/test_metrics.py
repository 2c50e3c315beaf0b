import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonito_assets.evaluation.metrics import (
    ChoiceArm,
    SquadArm,
    difference,
    interval,
    majority,
    normalised,
    squad_scores,
)

LABELS = st.sampled_from(["yes", "no", "maybe"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30)


def test_macro_f1_and_accuracy_by_hand():
    # yes: 1 hit, 2 gold, 1 guess -> 2/3; no: 1 hit, 1 gold, 2 guesses -> 2/3; maybe: 1 of 1 -> 1.
    report = ChoiceArm(["yes", "yes", "no", "maybe"], [["yes", "no", "no", "maybe"]]).report()
    assert report["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert report["accuracy"] == 0.75
    assert report["per_label"]["no"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
        "predicted": 2,
    }


@settings(max_examples=100, deadline=None)
@given(PAIRS)
def test_macro_f1_is_that_of_scikit_learn_over_the_gold_labels(pairs):
    from sklearn.metrics import f1_score

    gold, predicted = zip(*pairs, strict=True)
    expected = f1_score(gold, predicted, labels=sorted(set(gold)), average="macro", zero_division=0)
    assert ChoiceArm(gold, [predicted]).score() == pytest.approx(expected)


def test_scores_are_means_over_templates_and_labels_count_how_often_they_are_named_in_the_mean():
    gold = ["yes", "yes", "no", "no"]
    arm = ChoiceArm(gold, [gold, ["yes"] * 4])
    report = arm.report()
    assert report["accuracy"] == 0.75
    assert report["macro_f1"] == pytest.approx((1 + 1 / 3) / 2)
    assert report["templates"] == {
        "scores": [1.0, pytest.approx(1 / 3)],
        "deviation": pytest.approx(1 / 3),
    }
    assert report["per_label"]["yes"]["predicted"] == 3
    assert report["per_label"]["no"]["f1"] == 0.5
    free = SquadArm([["storks"], ["herons"]], [["storks", "gulls"], ["storks", "herons"]])
    assert free.report()["templates"]["scores"] == [0.5, 1.0]
    assert free.score() == 0.75


def test_templates_make_no_interval_narrower_than_the_questions_allow():
    gold, taken = ["yes", "no"] * 20, ["yes", "yes"] * 20
    once, often = ChoiceArm(gold, [taken]), ChoiceArm(gold, [taken] * 5)
    assert once.report()["ci95"] == pytest.approx(often.report()["ci95"])


def test_the_majority_line_is_the_score_of_always_naming_one_label():
    line = majority(["yes", "yes", "yes", "no"])
    assert line["label"] == "yes"
    assert line["accuracy"] == 0.75
    assert line["macro_f1"] == pytest.approx((2 * 3 / (3 + 4) + 0) / 2)


def test_intervals_are_repeatable_hold_the_score_and_shrink_with_more_questions():
    few = ChoiceArm(["yes", "no"] * 10, [["yes", "yes"] * 10])
    many = ChoiceArm(["yes", "no"] * 500, [["yes", "yes"] * 500])
    low, high = few.report()["ci95"]
    assert [low, high] == few.report()["ci95"]
    assert low < few.score() < high
    narrow = many.report()["ci95"]
    assert narrow[1] - narrow[0] < (high - low) / 4


def test_the_interval_of_a_mean_is_near_the_textbook_one():
    values = np.array([0, 1] * 200)
    low, high = interval(lambda rows: values[rows].mean(), 400)
    # 1.96 standard errors of a fair coin thrown 400 times are 0.049.
    assert (low, high) == (pytest.approx(0.451, abs=0.01), pytest.approx(0.549, abs=0.01))


def test_the_difference_of_two_equal_arms_is_exactly_nothing():
    arm = ChoiceArm(["yes", "no", "yes"], [["yes", "yes", "no"]])
    assert difference(arm, arm, 3) == {"macro_f1": 0.0, "ci95": [0.0, 0.0]}


def test_the_difference_of_a_perfect_and_a_useless_arm_is_clear():
    gold = ["yes", "no"] * 20
    found = difference(ChoiceArm(gold, [["maybe"] * 40]), ChoiceArm(gold, [gold]), 40)
    assert found == {"macro_f1": 1.0, "ci95": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("answer", "bare"),
    [
        ("The  River!", "river"),
        ("an apple, a pear", "apple pear"),
        ("U.S.A.", "usa"),
        ("theatre", "theatre"),
        ("$12", "12"),
        ("", ""),
    ],
)
def test_answers_are_normalised_as_squad_does(answer, bare):
    assert normalised(answer) == bare


@pytest.mark.parametrize(
    ("answer", "golds", "f1", "exact"),
    [
        ("the 1976", ["1976"], 1, 1),
        ("in March 1974", ["March 1974", "1974"], 0.8, 0),
        ("storks", ["herons"], 0, 0),
        ("", ["herons"], 0, 0),
        ("nearly $12", ["$12", "nearly $12"], 1, 1),
        ("a b b", ["b b b"], 0.8, 0),
    ],
)
def test_squad_scores_take_the_best_gold_answer(answer, golds, f1, exact):
    assert squad_scores(answer, golds) == (pytest.approx(f1), exact)


def test_squad_means_are_those_of_torchmetrics():
    from torchmetrics.text import SQuAD

    answers = ["the 1976", "in March 1974", "storks and herons", "river"]
    golds = [["1976"], ["March 1974", "1974"], ["herons"], ["the river", "a lake"]]
    oracle = SQuAD()(
        [{"prediction_text": text, "id": str(number)} for number, text in enumerate(answers)],
        [
            {"answers": {"answer_start": [0] * len(gold), "text": gold}, "id": str(number)}
            for number, gold in enumerate(golds)
        ],
    )
    report = SquadArm(golds, [answers]).report()
    assert report["f1"] * 100 == pytest.approx(float(oracle["f1"]))
    assert report["exact_match"] * 100 == pytest.approx(float(oracle["exact_match"]))
