"""Boundaries of grapheme clusters are those of the whole text, found without going through it."""

import hypothesis.strategies as st
import pytest
import regex
from hypothesis import given

from bonito_assets.chunking.graphemes import Graphemes

# Flags, joiners, skin tones, marks, Hangul, Indic conjuncts, Arabic number signs, line ends.
PARTS = [
    *"a é\r\n🇩🇪👨👩🏽\u200d\u0301\u0308\ufe0fㄱ가각क्षि\u0600©漢\0\u00ad",
    "👨\u200d👩\u200d👧",
    "🇫🇷",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PARTS), st.characters(codec="utf-8")), max_size=30).map(
    "".join
)


@given(TEXTS, st.randoms())
def test_boundaries_are_those_of_a_pass_over_the_whole_text(text, random):
    bounds = [m.start() for m in regex.finditer(r"\X", text)] + [len(text)]
    graphemes = Graphemes(text)
    places = list(range(len(text)))
    random.shuffle(places)
    for place in places:
        assert graphemes.boundary(place) == min(b for b in bounds if b >= place)
        assert graphemes.boundary_before(place) == max(b for b in bounds if b <= place)


@pytest.mark.parametrize("row", ["🇩🇪" * 20_000, "e" + "\u0301" * 40_000, "👨\u200d" * 20_000])
def test_a_long_row_is_gone_through_once(row):
    graphemes = Graphemes(row)
    found = [graphemes.boundary(place) for place in range(0, len(row), 7)]
    assert found == sorted(found)
