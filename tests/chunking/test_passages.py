"""Passages have exact offsets, keep to the limits, and together lose nothing but whitespace."""

from random import Random

import hypothesis.strategies as st
import pytest
import regex
from hypothesis import given, settings

from bonito_assets.chunking.passages import counted_passages, passages
from bonito_assets.chunking.tokens import passage_counter

ZALGO = "z\u0301\u0302\u0323\u0324\u0308\u030a" * 2
PIECES = [
    "word ",
    "A. ",
    "\n\n",
    "\n",
    ". ",
    "。",
    "é",
    "e\u0301",
    "🇩🇪🇫🇷",
    "👨\u200d👩\u200d👧",
    ZALGO,
    "क्षि",
    "<|pipe|>",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=12)),
    max_size=60,
).map("".join)
# Heading offsets are taken modulo the length of the text.
HEADINGS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 4)), max_size=5)


def headed(text, headings):
    return sorted({start % len(text): level for start, level in headings if text}.items())


@given(TEXTS, st.integers(1, 60), HEADINGS)
def test_passages_cover_every_visible_character_once_and_in_order(text, max_chars, headings):
    found = passages(text, max_chars, headed(text, headings))
    covered = [i for start, end in found for i in range(start, end)]
    assert covered == sorted(set(covered))
    left_out = set(range(len(text))) - set(covered)
    assert all(text[i].isspace() for i in left_out)


@given(TEXTS, st.integers(1, 60), HEADINGS)
def test_passages_fit_and_begin_and_end_with_a_visible_character(text, max_chars, headings):
    for start, end in passages(text, max_chars, headed(text, headings)):
        assert 1 <= end - start <= max_chars
        assert not text[start].isspace()
        assert not text[end - 1].isspace()


@settings(max_examples=60)
@given(text=TEXTS, max_chars=st.integers(1, 300), max_tokens=st.integers(16, 60), headings=HEADINGS)
def test_no_passage_is_over_its_budget_of_tokens_and_nothing_is_lost(
    count_tokens, text, max_chars, max_tokens, headings
):
    count = passage_counter(count_tokens)
    [found] = counted_passages([(text, headed(text, headings))], max_chars, max_tokens, count)
    # The oracle counts each passage by itself.
    for start, end, n_tokens in found:
        assert end - start <= max_chars
        assert n_tokens == count([text[start:end]])[0] <= max_tokens
    covered = [i for start, end, _ in found for i in range(start, end)]
    assert covered == sorted(set(covered))
    assert all(text[i].isspace() for i in set(range(len(text))) - set(covered))


@given(TEXTS, st.integers(1, 60))
def test_a_grapheme_is_parted_only_when_it_is_too_long_by_itself(text, max_chars):
    clusters = [match.span() for match in regex.finditer(r"\X", text)]
    for place in {place for span in passages(text, max_chars) for place in span}:
        for start, end in clusters:
            if start < place < end:
                # White space at the edges of a passage goes, whatever mark stands on it.
                assert end - start > max_chars or text[start:place].isspace()


@given(TEXTS, st.integers(8, 60))
def test_a_grapheme_within_the_budget_of_tokens_is_whole(text, max_tokens):
    def count(texts):
        return [len(text.encode()) for text in texts]

    clusters = [match.span() for match in regex.finditer(r"\X", text)]
    found = passages(text, 100, (), max_tokens, count)
    for place in {place for span in found for place in span}:
        for start, end in clusters:
            if start < place < end and not text[start:place].isspace():
                assert end - start > 100 or count([text[start:end].strip()])[0] > max_tokens


@given(TEXTS, st.integers(1, 60), HEADINGS)
def test_the_same_text_is_cut_in_the_same_places_alone_and_among_others(text, max_chars, headings):
    headings = headed(text, headings)

    def count(texts):
        return [len(text.encode()) for text in texts]

    alone = passages(text, max_chars, headings, 20, count)
    among = counted_passages([("x " * 50, []), (text, headings), (text, [])], max_chars, 20, count)
    assert alone == [(start, end) for start, end, _ in among[1]]


def test_zalgo_keeps_to_a_budget_of_sixteen_tokens(count_tokens):
    text = ("He comes. " + "".join(c + "\u0301\u0316\u0334\u0489" * 8 for c in "he waits")) * 20
    count = passage_counter(count_tokens)
    found = passages(text, 2000, (), 16, count)
    assert max(count([text[start:end] for start, end in found])) <= 16
    joined = "".join(text[start:end] for start, end in found)
    assert "".join(joined.split()) == "".join(text.split())


def texts(text, max_chars, headings=()):
    return [text[start:end] for start, end in passages(text, max_chars, headings)]


def test_cuts_fall_between_paragraphs_first():
    assert texts("One one. One.\n\nTwo two. Two.", 20) == ["One one. One.", "Two two. Two."]


def test_a_long_paragraph_is_cut_between_sentences():
    assert texts("One two three. Four five six.", 20) == ["One two three.", "Four five six."]


def test_an_abbreviation_is_no_place_for_a_cut():
    assert texts("He met Dr. Smith. She met Mr. Lee.", 20) == [
        "He met Dr. Smith.",
        "She met Mr. Lee.",
    ]


def test_a_long_sentence_is_cut_between_words():
    assert texts("one two three four", 9) == ["one two", "three", "four"]


def test_a_sentence_without_spaces_is_cut_between_its_clauses():
    assert texts("我们去公园，他们回家，你呢", 8) == ["我们去公园，", "他们回家，你呢"]


def test_a_long_word_is_cut_where_it_must_be():
    assert texts("abcdefgh", 3) == ["ab", "cde", "fgh"]


def test_a_word_is_whole_where_it_fits_and_stands_beside_one_that_does_not():
    assert texts("abcdefghijkl mn", 10)[-1] == "mn"


def test_flags_and_families_stay_whole():
    assert texts("🇩🇪🇫🇷🇮🇹", 5) == ["🇩🇪", "🇫🇷🇮🇹"]
    assert texts("👨\u200d👩\u200d👧👨\u200d👩\u200d👧", 7) == ["👨\u200d👩\u200d👧"] * 2


SECTIONS = "Rivers\n\nThey flow. They rise.\n\nWalls\n\nThey stand. They fall."


def test_a_heading_begins_a_passage():
    places = [(0, 1), (SECTIONS.index("Walls"), 1)]
    assert texts(SECTIONS, 40, places) == [SECTIONS[:29], SECTIONS[31:]]


@pytest.mark.parametrize("title", ["Part", "Book", "Area", "Zone", "Unit", "Task", "Term", "Rule"])
def test_the_outermost_heading_is_preferred(title):
    text = f"One.\n\n{title}\n\nTwo two two.\n\nPoint\n\nThree. Three."
    places = [(text.index(title), 1), (text.index("Point"), 3)]
    assert texts(text, 40, places) == ["One.", text[text.index(title) :]]


@given(st.integers(30, 120), st.integers(0, 1000))
def test_a_heading_is_never_alone_at_the_end_of_a_passage(max_chars, seed):
    random = Random(seed)
    text, places = "", []
    for _ in range(12):
        places.append((len(text), random.randint(1, 3)))
        text += "Heading of it\n\n"
        text += "Some words of text. " * random.randint(0, 6) + "The end.\n\n"
    for _, end in passages(text, max_chars, places):
        assert not text[:end].endswith(("Heading of it", "Heading of", "Heading"))


def document(seed, paragraphs=60):
    random = Random(seed)
    words = "heron river law court loan month fish nest water clause party year stone wall".split()

    def sentence():
        return " ".join(random.choices(words, k=random.randint(4, 16))).capitalize() + "."

    return "\n\n".join(
        " ".join(sentence() for _ in range(random.randint(1, 8))) for _ in range(paragraphs)
    )


def edited(text, seed):
    sentences = text.split(". ")
    sentences.insert(Random(seed).randrange(len(sentences)), "A new sentence")
    return ". ".join(sentences)


def new_passages(before, after):
    return len(set(texts(after, 2000)) - set(texts(before, 2000)))


def test_a_sentence_in_front_of_a_long_document_makes_one_new_passage():
    made = [new_passages(text := document(seed), "A new sentence. " + text) for seed in range(100)]
    assert max(made) <= 2
    assert sum(n == 1 for n in made) >= 95


def test_an_edit_anywhere_leaves_the_passages_far_from_it_as_they_are():
    made = [new_passages(text := document(seed), edited(text, seed)) for seed in range(100)]
    assert sum(made) / len(made) < 2


def test_an_edit_stays_local_where_tokens_are_the_limit(count_tokens):
    documents = [document(seed, 30) for seed in range(30)]
    changed = [edited(text, seed) for seed, text in enumerate(documents)]
    found = [
        [{text[start:end] for start, end, _ in own} for text, own in zip(some, cut, strict=True)]
        for some in (documents, changed)
        for cut in [counted_passages([(text, ()) for text in some], 10_000, 200, count_tokens)]
    ]
    made = [len(after - before) for before, after in zip(*found, strict=True)]
    assert sum(n <= 3 for n in made) >= 0.8 * len(made)


def test_a_document_that_fits_is_one_passage_without_its_outer_whitespace(count_tokens):
    assert texts("  \n Hello there.\n", 100) == ["Hello there."]
    text = document(1, 2)
    exactly = passage_counter(count_tokens)([text])[0]
    assert passages(text, 5000, (), exactly, passage_counter(count_tokens)) == [(0, len(text))]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="max_chars"):
        passages("x", 0)
    with pytest.raises(ValueError, match="max_tokens"):
        passages("x", 1, (), 0, lambda texts: [1 for _ in texts])
