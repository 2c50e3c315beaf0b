"""Texts share keys of bands as often as their similarity says."""

import random

import numpy as np
import pyarrow as pa
import pytest

from bonito_assets.curation.duplicates.signatures import BANDS, signatures, signed
from bonito_assets.curation.duplicates.words import text_keys, word_hashes


def words(number, seed):
    return [f"w{number}" for number in random.Random(seed).choices(range(10**6), k=number)]


def test_signatures_are_the_same_for_ever():
    """Cached ones would not fit to new ones otherwise."""
    found = signatures(pa.array(["one two three four five six seven"]))
    assert [f"{number:016x}" for number in found[0, :2]] == ["f559710d03c03f13", "542f3c58fa4a0535"]


def test_each_text_has_its_keys_whatever_stands_beside_it():
    texts = [" ".join(words(n, n)) for n in range(40)]
    together = signatures(pa.chunked_array([texts[:7], texts[7:]]))
    assert together.shape == (40, BANDS)
    assert all(np.array_equal(signatures(pa.array([t]))[0], together[i])
               for i, t in enumerate(texts))  # fmt: skip


def test_texts_of_the_same_set_of_shingles_have_the_same_keys():
    once = words(30, "a")
    texts = [" ".join(once), " ".join(once).upper(), " ".join([*once, *reversed(once)])]
    found = signatures(pa.array(texts), words_per_shingle=1)
    assert (found == found[0]).all()


def test_only_a_text_without_words_has_the_key_0():
    found = signatures(pa.array(["a", "", None, "?", "a b c d e f"]))
    assert (found == 0).all(axis=1).tolist() == [False, True, True, True, False]
    assert (found == 0).any(axis=1).tolist() == [False, True, True, True, False]


def test_keys_of_texts_are_those_of_their_words():
    texts = pa.array(["one two", "", "One, two!"])
    assert np.array_equal(signed(texts).keys, text_keys(word_hashes(texts)))


@pytest.mark.parametrize(("shared", "own"), [(80, 10), (70, 15), (50, 25)])
def test_the_share_of_equal_keys_is_the_similarity_to_the_power_of_five(shared, own):
    """Shingles of one word, so that the similarity is shared / (shared + 2 own)."""
    pairs = 160
    left = [" ".join(words(shared, i) + words(own, f"{i}l")) for i in range(pairs)]
    right = [" ".join(words(shared, i) + words(own, f"{i}r")) for i in range(pairs)]
    one, other = signatures(pa.array(left), 1), signatures(pa.array(right), 1)
    expected = (shared / (shared + 2 * own)) ** 5
    # Four standard errors of 4,000 throws.
    error = 4 * np.sqrt(expected * (1 - expected) / (pairs * BANDS))
    assert abs((one == other).mean() - expected) < error


def test_a_shingle_of_no_words_is_refused():
    with pytest.raises(ValueError, match="at least one word"):
        signatures(pa.array(["a"]), 0)
