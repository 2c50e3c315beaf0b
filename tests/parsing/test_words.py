"""Text is compared without regard to what differs in print only, in scripts of all kinds."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.parsing.words import (
    Passage,
    bare,
    normal,
    numbers,
    repeats_itself,
    within,
    words,
)

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab ,.'-桥\n")), max_size=80
)


@given(TEXTS)
def test_normalising_twice_changes_nothing(text):
    assert normal(normal(text)) == normal(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("“Yes” – no", '"yes" - NO'), ("a\n b", "a b"), ("ﬁne", "fine"), ("1,250", "1250"),
     ("ab\u200bc", "abc"), ("Straße", "STRASSE"), ("it’s", "it's")],
)  # fmt: skip
def test_what_differs_in_print_only_is_the_same(one, other):
    assert normal(one) == normal(other)


@given(st.lists(st.text("abcdé", min_size=1, max_size=5), min_size=1, max_size=12), st.data())
def test_any_row_of_words_of_a_passage_is_in_it_and_a_part_of_a_word_is_not(said, data):
    start = data.draw(st.integers(0, len(said) - 1))
    end = data.draw(st.integers(start + 1, len(said)))
    text = " ".join(said)
    assert within(" ".join(said[start:end]), text)
    assert not within("x", text)
    assert not within(said[0][:-1], said[0])


def test_a_script_without_spaces_has_spans_between_any_two_letters():
    assert within("503米", "长503米。")
    assert words("桥长503米") == list("桥长503米")


@pytest.mark.parametrize(
    ("text", "found"),
    [("18,000 people", {"18000"}), ("3.5 and 12", {"3.5", "12"}), ("none", set()),
     ("1. first\n2. second of 7", {"7"}), ("at 7:15", {"7", "15"}), ("５月", {"5"})],
)  # fmt: skip
def test_numbers_are_read_without_separators_and_without_those_of_lists(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize("number", ["12", "3.5", "18000", "6", "1603"])
def test_a_passage_has_its_numbers_in_digits_or_in_words(number):
    passage = Passage("Twelve men, 3.5 days, 18,000 euros, six boats; 1603年に。")
    assert passage.has_numbers({number})
    assert not passage.has_numbers({number, "77"})


@pytest.mark.parametrize("answer", ["5 m", "£5m", "5", "18th", "120 km", "120KM", "2.5-fold"])
def test_a_number_is_the_same_with_letters_on_it_and_without(answer):
    passage = Passage("For £5m, 120km dug in the 18th century were made 2.5x as deep.")
    assert passage.has_numbers(numbers(answer))
    assert not passage.has_numbers(numbers(answer.replace("5", "6").replace("1", "3")))


@given(st.text(max_size=60))
def test_a_passage_shares_all_words_with_itself(text):
    passage = Passage(text)
    assert passage.shares(set(passage.words)) == (1.0 if passage.words else 0.0)
    assert passage.bare == bare(text)


def test_going_round_in_circles_is_told_from_a_sentence():
    assert repeats_itself("the kettle, the kettle, the kettle, the kettle, the kettle")
    assert repeats_itself("桥" * 50)
    assert not repeats_itself("The ferry leaves the old harbour at seven and comes back at noon.")
