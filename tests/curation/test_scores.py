"""Scores of a row: how much of an answer is copied, how much of it repeats itself."""

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets.curation.scores import scores

PASSAGE = "The tenant pays the rent on the first day of each month, in advance."


def scored(answer, passage=PASSAGE, label=None, question="Why?"):
    return {name: value[0].as_py() for name, value in of([(question, answer, label, passage)])}


def of(rows):
    """Gives the scores of rows of (question, answer, label, passage), by name."""
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return scores(*columns[:3], columns[3].dictionary_encode())._asdict().items()


def test_lengths_are_in_code_points():
    found = scored("né 🙂", passage="ü" * 7, question="où?")
    assert (found["input_chars"], found["output_chars"], found["passage_chars"]) == (3, 4, 7)


def test_an_answer_copied_whole_is_one_stretch():
    found = scored("the first day of each month")
    assert found["lexical_overlap"] == found["extractive_coverage"] == 1
    assert found["extractive_density"] == 6


def test_an_answer_of_two_stretches_has_the_mean_of_their_lengths_word_by_word():
    # Two stretches of 2 and 3 words and one word of its own: (2*2 + 3*3) / 6.
    found = scored("the tenant, surely: of each month")
    assert found["extractive_coverage"] == pytest.approx(5 / 6)
    assert found["extractive_density"] == pytest.approx(13 / 6)


def test_words_in_another_order_overlap_but_are_no_stretch():
    found = scored("month each of day")
    assert found["lexical_overlap"] == 1
    assert found["extractive_density"] == 1


def test_case_punctuation_and_line_breaks_are_of_no_account():
    assert scored("THE FIRST\nDAY -- of each... month!") | {"output_chars": 0} == scored(
        "the first day of each month"
    ) | {"output_chars": 0}


def test_repetition_is_the_share_of_three_words_running_that_stood_there_before():
    assert scored("so it is")["repetition"] == 0
    # so-it-is, it-is-so, is-so-it, so-it-is, it-is-so, is-so-it, so-it-is: three of seven are new.
    assert scored("so it is so it is so it is")["repetition"] == pytest.approx(4 / 7)


def test_a_label_says_nothing_of_what_an_answer_copies():
    found = scored("Yes", label="yes")
    assert found["lexical_overlap"] is None
    assert found["extractive_coverage"] is None
    assert found["extractive_density"] is None
    assert found["output_chars"] == 3


def test_a_row_without_an_answer_has_no_scores_of_it():
    found = scored(None, question=None)
    assert found.pop("passage_chars") == len(PASSAGE)
    assert set(found.values()) == {None}


def test_an_answer_without_words_has_a_length_only():
    found = scored("?!")
    assert found["output_chars"] == 2
    assert found["lexical_overlap"] is found["repetition"] is None


def test_an_empty_batch_has_no_scores():
    empty = pa.array([], pa.string())
    assert len(scores(empty, empty, empty, empty.dictionary_encode()).repetition) == 0


def as_published(answer, passage):
    """Gives overlap, coverage, density and repetition as their formulas have them."""
    a, p = answer.split(), passage.split()
    stretches, i = [], 0
    while i < len(a):
        best = 0
        for j in range(len(p)):
            n = 0
            while i + n < len(a) and j + n < len(p) and a[i + n] == p[j + n]:
                n += 1
            best = max(best, n)
        stretches.append(best)
        i += max(best, 1)
    grams = [tuple(a[i : i + 3]) for i in range(len(a) - 2)]
    return (
        sum(word in p for word in a) / len(a),
        sum(stretches) / len(a),
        sum(n * n for n in stretches) / len(a),
        1 - len(set(grams)) / len(grams) if grams else 0,
    )


TEXT = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_scores_are_those_of_the_published_formulas_whatever_rows_stand_beside(pairs):
    found = dict(of([("q", answer, None, passage) for answer, passage in pairs]))
    names = ("lexical_overlap", "extractive_coverage", "extractive_density", "repetition")
    for row, (answer, passage) in enumerate(pairs):
        expected = as_published(answer, passage)
        assert [found[name][row].as_py() for name in names] == pytest.approx(expected)
