"""Texts are compared by their words: how they are written, cased and encoded does not matter."""

import unicodedata

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets.curation.duplicates.kernels import compiled
from bonito_assets.curation.duplicates.words import Hashed, ngrams, text_keys, word_hashes

PIECES = ["The", "fox", " ", "-", "\n", "é", "e\u0301", "ﬁ", "ß", "Σίσυφος", "日本", "カ\u3099",
          "가나", "ไม่", "½", "ﷺ", "\u00ad", "\ufe0f", "´", "🙂", "x²", "_"]  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=6)),
    max_size=20,
).map("".join)
WORDS = st.lists(st.sampled_from("a b c d".split()), max_size=12).map(" ".join)


def rows(hashed):
    return [hashed.hashes[a:b].tolist() for a, b in zip(hashed.offsets, hashed.offsets[1:])]  # noqa: B905


def hashes(*texts):
    return rows(word_hashes(pa.array(texts, pa.string())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The quick, brown fox!", "the QUICK\nbrown — fox"),
        ("don't", "don’t"),
        ("it is", "“it” *is*"),
        ("a_b", "a b"),
        ("STRASSE", "Straße"),
        ("ﬁne", "fine"),
        ("ＡＢＣ１", "abc1"),
        ("soft\u00adly", "softly"),
        ("日本語text", "日 本 語 Text"),
    ],
    ids=["punctuation", "apostrophe", "quotes", "underscore", "sharp s", "ligature", "full width",
         "soft hyphen", "blanks in Japanese"],
)  # fmt: skip
def test_the_same_words_written_otherwise_are_the_same(one, other):
    assert hashes(one) == hashes(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ab c", "a bc"), ("résumé", "resume"), ("a b", "b a"), ("12", "1 2"), ("日本", "本日")],
    ids=["cut", "accent", "order", "digits", "order of letters"],
)
def test_other_words_are_others(one, other):
    assert hashes(one) != hashes(other)


@given(TEXTS, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_neither_case_nor_unicode_form_matters(text, form):
    written = unicodedata.normalize(form, text)
    assert hashes(written, written.casefold()) == hashes(text, text)


@given(TEXTS, TEXTS)
def test_a_blank_parts_words_and_nothing_else(one, other):
    first, second, both = hashes(one, other, f"{one} {other}")
    assert both == first + second


def test_letters_of_scripts_without_blanks_are_words_each():
    counts = [len(row) for row in hashes("日本語", "ひらがな", "ไม่", "가나 다라", "नमस्ते दुनिया")]
    assert counts == [3, 4, 2, 2, 2]


def test_what_has_no_letter_or_digit_has_no_words():
    assert hashes(None, "", " \n", "?!…", "🙂", "---") == [[], [], [], [], [], []]


def test_hashes_are_the_same_for_ever():
    """Cached signatures would not fit to new ones otherwise."""
    found = word_hashes(pa.array(["Zwei Größen", "猫"]))
    assert [f"{number:016x}" for number in found.hashes] == [
        "24486527a9193164",
        "5f32fd8860083be0",
        "2b498fd81d0b8f6b",
    ]
    assert f"{text_keys(found)[0]:016x}" == "754cfdf8dff2cb08"
    assert f"{ngrams(found, 2).hashes[0]:016x}" == "dcbdadc0f3081481"


@pytest.mark.parametrize("kind", ["sliced", "chunked", "large", "view", "dictionary"])
def test_it_does_not_matter_how_arrow_stores_a_text(kind):
    texts = ["one two", None, "", "drei", "one two"]
    plain = pa.array(texts)
    stored = {
        "sliced": pa.array(["x y", *texts, "z"]).slice(1, 5),
        "chunked": pa.chunked_array([texts[:2], texts[2:]], pa.string()),
        "large": pa.array(texts, pa.large_string()),
        "view": pa.array(texts, pa.string_view()),
        "dictionary": plain.dictionary_encode(),
    }[kind]
    assert rows(word_hashes(stored)) == rows(word_hashes(plain))


def test_what_lies_in_the_buffer_under_a_null_is_no_text():
    offsets, data = np.array([0, 3, 6], np.int32), b"onetwo"
    buffers = [pa.py_buffer(bytes([0b10])), pa.py_buffer(offsets), pa.py_buffer(data)]
    texts = pa.Array.from_buffers(pa.string(), 2, buffers, null_count=1)
    assert rows(word_hashes(texts)) == hashes(None, "two")


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=5))
def test_bytes_that_are_no_text_do_no_harm(broken):
    texts = pa.array(broken, pa.binary()).view(pa.string())
    assert len(word_hashes(texts).offsets) == len(broken) + 1


def test_numbers_are_no_texts():
    with pytest.raises(TypeError, match="int64"):
        word_hashes(pa.array([1]))


@given(st.lists(WORDS, max_size=5), st.integers(1, 5))
def test_there_is_an_ngram_at_each_word_that_has_room_for_it(texts, n):
    expected, found = [], []
    hashed = rows(ngrams(word_hashes(pa.array(texts, pa.string())), n))
    for text, grams in zip(texts, hashed, strict=True):
        words = text.split()
        runs = [tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []
        expected.append(runs)
        assert len(grams) == len(runs)
        found += zip(runs, grams, strict=True)
    assert len(set(found)) == len({run for run, _ in found}) == len({gram for _, gram in found})


def test_an_ngram_of_no_words_is_refused():
    with pytest.raises(ValueError, match="at least one word"):
        ngrams(Hashed(np.zeros(1, np.int64), np.zeros(0, np.uint64)), 0)


@given(st.lists(WORDS, max_size=8))
def test_texts_share_a_key_when_their_words_are_the_same(texts):
    keys = text_keys(word_hashes(pa.array(texts, pa.string())))
    assert len(set(keys.tolist())) == len({tuple(text.split()) for text in texts})


def test_where_nothing_can_be_cached_it_is_compiled_all_the_same():
    names = {}
    exec(compile("def twice(x):\n    return 2 * x\n", "<no file>", "exec"), names)
    assert compiled(names["twice"])(21) == 42
