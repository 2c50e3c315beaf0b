"""Passages have exact offsets, keep to the limit, and together lose nothing but whitespace."""

from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.chunking.chunks import chunks
from bonito_assets.chunking.passages import passages
from bonito_assets.ingestion.documents import documents
from bonito_assets.ingestion.sources import Item

TEXTS = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from(list("abc .!?\n\n\t。😀é"))),
    max_size=400,
)


@given(TEXTS, st.integers(1, 60))
def test_passages_cover_every_visible_character_once_and_in_order(text, max_chars):
    covered = [i for start, end in passages(text, max_chars) for i in range(start, end)]
    assert covered == sorted(set(covered))
    left_out = set(range(len(text))) - set(covered)
    assert all(text[i].isspace() for i in left_out)


@given(TEXTS, st.integers(1, 60))
def test_passages_fit_and_begin_and_end_with_a_visible_character(text, max_chars):
    for start, end in passages(text, max_chars):
        assert 1 <= end - start <= max_chars
        assert not text[start].isspace()
        assert not text[end - 1].isspace()


def texts(text, max_chars):
    return [text[start:end] for start, end in passages(text, max_chars)]


def test_cuts_fall_between_paragraphs_first():
    assert texts("One one. One.\n\nTwo two. Two.", 20) == ["One one. One.", "Two two. Two."]


def test_a_long_paragraph_is_cut_between_sentences():
    assert texts("One two three. Four five six.", 20) == ["One two three.", "Four five six."]


def test_a_long_sentence_is_cut_between_words():
    assert texts("one two three four", 9) == ["one two", "three", "four"]


def test_a_long_word_is_cut_where_it_must_be():
    assert texts("abcdefgh", 3) == ["ab", "cde", "fgh"]


def document(seed, paragraphs=60):
    random = Random(seed)
    words = "heron river law court loan month fish nest water clause party year stone wall".split()

    def sentence():
        return " ".join(random.choices(words, k=random.randint(4, 16))).capitalize() + "."

    return "\n\n".join(
        " ".join(sentence() for _ in range(random.randint(1, 8))) for _ in range(paragraphs)
    )


def new_passages(before, after):
    return len(set(texts(after, 2000)) - set(texts(before, 2000)))


def test_a_sentence_in_front_of_a_long_document_makes_one_new_passage():
    made = [new_passages(text := document(seed), "A new sentence. " + text) for seed in range(100)]
    assert max(made) <= 2
    assert sum(n == 1 for n in made) >= 95


def test_an_edit_anywhere_leaves_the_passages_far_from_it_as_they_are():
    made = []
    for seed in range(100):
        text = document(seed)
        sentences = text.split(". ")
        place = Random(seed).randrange(len(sentences))
        sentences.insert(place, "A new sentence")
        made.append(new_passages(text, ". ".join(sentences)))
    assert sum(made) / len(made) < 2


def test_a_short_text_is_one_passage_without_its_outer_whitespace():
    assert texts("  \n Hello there.\n", 100) == ["Hello there."]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="max_chars"):
        passages("x", 0)


def test_offsets_point_into_the_documents_text():
    made = documents("c", [Item("a.txt", None, text="Erster Satz. 😀 Zweiter é Satz.\n\nDritter.")])
    table = chunks(made, 20, lambda texts: [len(text.split()) for text in texts])
    text = made["text"][0].as_py()
    assert table.num_rows > 1
    for row in table.to_pylist():
        assert text[row["start_char"] : row["end_char"]] == row["text"]
        assert row["n_tokens"] == len(row["text"].split())


def test_a_refused_document_has_no_passages():
    made = documents("c", [Item("a.txt", None, text="  "), Item("b.txt", None, text="Good.")])
    table = chunks(made, 100, lambda texts: [0 for _ in texts])
    assert table["text"].to_pylist() == ["Good."]


def test_ids_of_passages_depend_on_document_place_and_text():
    items = [Item("a.txt", None, text="Same. Same."), Item("b.txt", None, text="Same. Same. ")]
    table = chunks(documents("c", items), 6, lambda texts: [0 for _ in texts])
    assert len(set(table["chunk_id"].to_pylist())) == table.num_rows == 4
