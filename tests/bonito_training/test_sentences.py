"""What can be asked of one sentence by rule."""

from __future__ import annotations

import random

import pytest

from bonito_assets.bonito_training import sentences as rule
from bonito_assets.bonito_training.sentences import Asked


def test_a_counted_thing_becomes_a_how_many_question_with_the_number_as_answer() -> None:
    assert rule.how_many("The colony held 23 nests in May.") == [
        Asked("The colony held how many nests in May?", "23")
    ]


def test_a_year_is_not_counted() -> None:
    assert rule.how_many("The mill opened in 1832 near Brenford.") == []


def test_the_subject_is_asked_for_with_who_or_what() -> None:
    asked = rule.who_or_what("The grey heron is the tallest bird here.")
    assert asked == Asked("Who or what is the tallest bird here?", "The grey heron")


@pytest.mark.parametrize(
    "sentence",
    [
        "It stands in the water.",  # a pronoun answers nothing
        "When it rains, the shop is closed.",
        "The leaves are green.",  # "leaves" is read as a verb, and "The" is no subject
    ],
)
def test_a_sentence_without_a_clear_subject_is_not_asked_about(sentence: str) -> None:
    assert rule.who_or_what(sentence) is None


def test_an_auxiliary_moves_to_the_front_of_a_yes_no_question() -> None:
    assert rule.inverted("The heron can fly far.") == "Can the heron fly far?"
    assert rule.inverted("Anna Brenford is the cook.") == "Is Anna Brenford the cook?"
    assert rule.inverted("The heron eats fish.") is None


@pytest.mark.parametrize(
    ("sentence", "possible"),
    [
        ("The shop opens on Monday.", r"The shop (opens|closes) on \w+day\."),
        ("We keep it for 30 days.", r"We keep it for \d\d days\."),
        ("Bees never like it.", r"Bees always like it\."),
        ("It came from Brenford.", r"It came from [A-Z][a-z]+\."),
    ],
)
def test_a_false_twin_differs_in_one_word_that_matters(sentence: str, possible: str) -> None:
    import re

    for seed in range(20):
        twin = rule.falsified(sentence, random.Random(seed))
        assert twin is not None
        assert twin != sentence
        assert re.fullmatch(possible, twin) or "closes" in twin


def test_a_not_is_put_after_the_auxiliary_or_taken_out() -> None:
    assert rule.negated("You may swim here.") == "You may not swim here."
    assert rule.negated("You must not swim.") == "You must swim."
    assert rule.negated("Bees like it there.") is None


def test_a_sentence_with_nothing_to_exchange_has_no_false_twin() -> None:
    assert rule.falsified("Bees like it there.", random.Random(0)) is None


def test_a_split_gives_back_the_sentence_when_joined() -> None:
    for seed in range(20):
        parts = rule.split_at("The canteen serves pea soup on every Friday.", random.Random(seed))
        assert parts is not None
        assert " ".join(parts) == "The canteen serves pea soup on every Friday"


def test_a_rewording_is_never_the_sentence_itself() -> None:
    for sentence in ("You may swim here.", "Bees like it there.", "The heron eats fish."):
        assert rule.reworded(sentence) != sentence
