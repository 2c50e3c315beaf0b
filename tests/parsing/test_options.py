"""Options are read in every style, and an answer names one of them or none."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.parsing.options import options

FRUIT = ["apple", "green pear", "sour cherry"]


@pytest.mark.parametrize(
    "instruction",
    [
        "Which?\nA. apple\nB. green pear\nC. sour cherry",
        "Which?\nA: apple\nB: green pear\nC: sour cherry\nA:",
        "Which?\na) Apple.\nb) Green pear.\nc) Sour cherry.",
        "Which? (A) apple (B) green pear (C) sour cherry",
        "Which?\n(A) apple (B) green pear (C) sour cherry",
        "Which?\nA. apple B. green pear C. sour cherry",
        "Options: A. apple\nB. green pear\nC. sour cherry",
        "Which?\nA apple\nB green pear\nC sour cherry",
        "Which?\n1. apple\n2. green pear\n3. sour cherry",
        "Ending 1: apple\nEnding 2: green pear\nEnding 3: sour cherry",
        "Which?\n- apple\n- green pear\n- sour cherry",
        "- \nWhich?\n- apple\n- green pear\n- sour cherry",
        " * apple\n * green pear\n * sour cherry",
        'Is it "apple", "green pear" or "sour cherry"?',
        "Choose from: apple, green pear, sour cherry",
        "Which one: an apple, a green pear or a sour cherry?",
        "What is it, apple, green pear or sour cherry?",
    ],
)
def test_options_are_read_in_every_style(instruction):
    found = options(instruction)
    assert found.texts == FRUIT
    assert found.flaw() is None
    assert [found.chosen(text) for text in FRUIT] == [0, 1, 2]
    assert found.chosen("plum") is None


@pytest.mark.parametrize(
    "instruction",
    [
        "If it rains, will it be more or less?",
        "If it rains, and it is cold, will it be more or less likely?",
        "Will it be more or less?",
    ],
)
def test_a_condition_before_two_options_is_none_of_them(instruction):
    found = options(instruction)
    assert [found.chosen(answer) for answer in ("more", "less", "cold")] == [0, 1, None]


@pytest.mark.parametrize(
    "instruction",
    ["", "Which fruit?", "A jug of milk.", "Answer with A, B or C.", "It fell, and broke."],
)
def test_an_instruction_without_options_has_none(instruction):
    assert options(instruction) is None


@pytest.mark.parametrize(
    ("answer", "place"),
    [("B", 1), ("b", 1), ("B.", 1), ("(B)", 1), ("B: green pear", 1), ("B: apple", None),
     ("D", None), ("A or B", None), ("pear", None), ("Green pear.", 1), ("", None)],
)  # fmt: skip
def test_a_lettered_option_is_named_by_letter_or_text_or_both(answer, place):
    assert options("A. apple\nB. green pear\nC. sour cherry").chosen(answer) == place


@given(st.lists(st.text("abcxyz", min_size=2, max_size=6), min_size=2, max_size=8, unique=True))
def test_every_option_of_a_list_is_chosen_by_itself(texts):
    listed = options("Which?\n" + "\n".join(f"- {text}" for text in texts))
    lettered = options(
        "Which?\n" + "\n".join(f"{c}) {t}" for c, t in zip("ABCDEFGH", texts, strict=False))
    )
    for place, text in enumerate(texts):
        assert listed.chosen(text) == lettered.chosen(text) == place
        assert lettered.chosen("ABCDEFGH"[place]) == place
