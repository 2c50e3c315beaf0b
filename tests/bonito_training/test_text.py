"""Plain passages out of running text."""

from __future__ import annotations

import random

import pytest

from bonito_assets.bonito_training import text


def test_tokenised_and_marked_up_text_is_cleaned() -> None:
    assert text.clean("We do **not** `sell` [data](x.html) .") == "We do not sell data."
    assert text.clean("It isn 't  mine , he says ( twice ) .") == "It isn't mine, he says (twice)."


def test_abbreviations_do_not_end_a_sentence_and_paragraphs_do() -> None:
    assert text.sentences("Dr. Hale came. He stayed.") == ["Dr. Hale came.", "He stayed."]
    assert text.sentences("# A title\n\nHe came. He left.") == ["# A title", "He came.", "He left."]


@pytest.mark.parametrize(
    "debris",
    ["no capital here at all.", "Too short.", "See http://x.org for the whole of it.",
     "An (unclosed bracket is debris.", "This has no closing mark"],
)  # fmt: skip
def test_debris_is_not_a_plain_sentence(debris: str) -> None:
    assert not text.is_plain(debris)


def test_passages_keep_neighbouring_sentences_in_their_order() -> None:
    sentences = [f"The house number {n} stands at the old harbour." for n in range(30)]
    whole = " ".join(sentences)
    found = list(text.passages(whole, random.Random(0)))
    assert found
    assert all(passage in whole for passage in found)
