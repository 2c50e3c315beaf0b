from collections import Counter

import numpy as np
import pytest

from bonito_assets.evaluation.regression import general_questions, report
from bonito_assets.evaluation.test_set import Question


@pytest.fixture(scope="module")
def questions():
    return general_questions()


def test_the_suite_asks_as_much_of_each_skill(questions):
    skills = Counter(question.id.partition("-")[0] for question in questions)
    assert skills == dict.fromkeys(("knowledge", "arithmetic", "instruction", "reading"), 35)


def test_no_question_stands_twice(questions):
    assert len({(one.context, one.question) for one in questions}) == len(questions)


def test_the_right_answer_stands_in_every_place_about_as_often(questions):
    places = Counter(question.choices.index(question.label) for question in questions)
    assert set(places) == {0, 1, 2}
    assert min(places.values()) > len(questions) / 5


def test_reading_has_a_passage_and_the_other_skills_have_none(questions):
    for question in questions:
        assert bool(question.context) == question.id.startswith("reading")


def test_accuracy_is_told_by_arm_and_skill_beside_guessing():
    asked = [
        Question(f"{skill}-{n}", "", "?", (), "a", ("a", "b", "c", "d"))
        for skill in ("one", "two")
        for n in range(10)
    ]
    right = np.array([True] * 10 + [False] * 10)
    found = report(asked, {"base": right, "tuned": ~right})
    assert (found["n"], found["chance"]) == (20, 0.25)
    assert found["arms"]["base"]["accuracy"] == 0.5
    assert found["arms"]["base"]["per_skill"] == {"one": 1.0, "two": 0.0}
    assert found["differences"]["tuned - base"]["accuracy"] == 0.0


def test_differences_are_paired_by_question(questions):
    base = np.arange(len(questions)) % 2 == 0
    [lost] = report(questions, {"base": base, "tuned": base & False})["differences"].values()
    [same] = report(questions, {"base": base, "tuned": base})["differences"].values()
    assert lost["ci95"][1] < 0
    assert same["ci95"] == [0.0, 0.0]
