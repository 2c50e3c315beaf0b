import pytest

from bonito_assets.evaluation.report import (
    differences_table,
    gain,
    markdown,
    no_worse,
    plot,
    scores_table,
    undamaged,
)


def report(ci95, n=60, arms=("base", "tuned"), **more):
    """A report with the given interval of the gain, and the same for general questions."""
    scores = {
        arm: {
            "macro_f1": 0.4 + place / 10,
            "accuracy": 0.5,
            "ci95": [0.3, 0.7],
            "per_label": {},
            "templates": {"scores": [0.4, 0.6], "deviation": 0.1},
        }
        for place, arm in enumerate(arms)
    }
    pairs = [f"{later} - {one}" for place, one in enumerate(arms) for later in arms[place + 1 :]]
    return {
        "corpus": "meadows",
        "metric": "choice_f1",
        "n": n,
        "left_out": [],
        "majority": {"label": "no", "macro_f1": 0.4, "accuracy": 0.6},
        "arms": scores,
        "differences": {pair: {"macro_f1": 0.1, "ci95": ci95} for pair in pairs},
        "tuned_on": {"rows": 549, "steps": 35},
        "regression": {
            "n": 140,
            "chance": 0.33,
            "arms": {
                arm: {"accuracy": 0.5, "ci95": [0.4, 0.6], "per_skill": {"reading": 0.5}}
                for arm in arms
            },
            "differences": {pair: {"accuracy": 0.0, "ci95": ci95} for pair in pairs},
        },
        "answers_fit": {"rows": 0, "share": None, "reason": "few", "per_task_type": {}},
        "test_set": {"path": "t|est.jsonl", "sha256": "0" * 64},
        "base_model": {"name": "base-demo"},
        "dataset_version": "v7",
        "shortened": {"rows": 3, "budget_tokens": 200, "kept_share_of_passages": 0.9, "how": "so"},
        **more,
    }


BETTER, EQUAL, WORSE = [0.02, 0.2], [-0.02, 0.2], [-0.2, -0.1]


@pytest.mark.parametrize(
    ("ci95", "better", "words"),
    [
        (BETTER, True, "better than chance"),
        (EQUAL, False, "no difference"),
        (WORSE, False, "worse than chance"),
    ],
)
def test_tuned_beats_base_only_when_the_whole_interval_says_so(ci95, better, words):
    passed, sentence = gain(report(ci95))
    assert passed is better
    assert words in sentence
    assert "60 questions" in sentence
    assert "saw 549 rows in 35 steps" in sentence


@pytest.mark.parametrize(("ci95", "passes"), [(BETTER, True), (EQUAL, True), (WORSE, False)])
def test_a_release_is_refused_only_when_the_whole_interval_lies_below_nothing(ci95, passes):
    assert no_worse(report(ci95))[0] is passes
    assert undamaged(report(ci95))[0] is passes


def test_a_handful_of_questions_refuses_no_release():
    assert not no_worse(report(WORSE, n=20))[0]
    passed, sentence = no_worse(report(WORSE, n=19))
    assert passed
    assert "19 questions are too few" in sentence


def test_a_corpus_without_test_set_is_told_how_to_get_one_and_what_is_known_without():
    bare = report(EQUAL, metric=None, reason="the corpus has no test set: add a key 'evaluation'")
    for judge in (gain, no_worse):
        passed, sentence = judge(bare)
        assert passed
        assert "add a key 'evaluation'" in sentence
    text = markdown(bare)
    assert "140 general questions" in text
    assert "plot.png" not in text


def test_the_report_says_what_was_cut_and_left_out():
    text = markdown(report(EQUAL, left_out=["q1"]))
    assert "3 of 60 passages were shortened to keep to 200 tokens" in text
    assert "1 questions do not fit" in text
    assert r"t\|est.jsonl" in text


def test_tables_show_all_arms_and_pairs_and_the_majority_line():
    three = report(EQUAL, arms=("base", "tapt", "tuned"))
    assert [line.split(" | ")[0] for line in scores_table(three).splitlines()[2:]] == [
        "| base", "| tapt", "| tuned", "| always 'no'"
    ]  # fmt: skip
    assert "0.400, 0.600" in scores_table(three)
    assert differences_table(three).count(" - ") == 3


@pytest.mark.parametrize("arms", [("base", "tuned"), ("base", "tapt", "tuned")])
def test_the_plot_is_small_enough_for_metadata(arms):
    image = plot(report(EQUAL, arms=arms))
    assert image.startswith(b"\x89PNG")
    assert len(image) < 20_000
