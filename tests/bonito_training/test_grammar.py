"""Invented passages."""

from __future__ import annotations

import random

import pytest

from bonito_assets.bonito_training import grammar
from bonito_assets.bonito_training.text import sentences


@pytest.mark.parametrize("topic", grammar.TOPICS)
def test_an_invented_passage_is_two_to_five_whole_sentences(topic: str) -> None:
    rng = random.Random(0)
    for _ in range(50):
        invented = grammar.invent(rng, topic)
        assert invented.topic == topic
        found = sentences(invented.text)
        assert 2 <= len(found) <= 5
        assert all(s[0].isupper() and s[-1] == "." and len(s.split()) > 3 for s in found)
        assert "{" not in invented.text


def test_passages_hardly_ever_repeat_and_a_seed_repeats_them() -> None:
    rng = random.Random(0)
    texts = [grammar.invent(rng).text for _ in range(500)]
    assert len(set(texts)) > 495
    again = random.Random(0)
    assert texts == [grammar.invent(again).text for _ in range(500)]


def test_a_slot_keeps_its_value_in_a_passage_and_its_second_form_differs() -> None:
    values: dict[str, str] = {}
    filled = grammar.fill("{party} {party} {party2}", values, random.Random(0))
    first, second, other = filled.split()
    assert first == second != other
