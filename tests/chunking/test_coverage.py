"""Passages are compared with their documents: in their places, whole, and nobody else's."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.chunking.chunks import chunks
from bonito_assets.chunking.coverage import coverage

TEXTS = st.lists(st.text("ab. \n\u3000é", max_size=80), min_size=1, max_size=5)


def documents(texts, refused=()):
    return pa.table(
        {
            "corpus": pa.repeat("c", len(texts)),
            "doc_id": [str(number) for number in range(len(texts))],
            "uri": [str(number) for number in range(len(texts))],
            "text": texts,
            "headings": pa.nulls(len(texts)),
            "rejected_because": ["empty" if n in refused else None for n in range(len(texts))],
        }
    ).to_batches(max_chunksize=2)


def passages(*rows):
    names = ("doc_id", "chunk_id", "start_char", "end_char", "text")
    return [pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows])]


@given(TEXTS)
def test_what_chunking_makes_is_always_in_place_and_whole(texts):
    cut = chunks(documents(texts), 20, lambda batch: [len(text) for text in batch])
    found = coverage(documents(texts), cut)
    assert (found.documents, found.misplaced, found.uncovered) == (len(texts), [], [])


def test_a_passage_that_is_not_the_text_at_its_offsets_is_named():
    made = passages(("0", "good", 0, 3, "abc"), ("0", "moved", 4, 7, "bcd"))
    found = coverage(documents(["abc def"]), made)
    assert (found.passages, found.misplaced, found.uncovered) == (2, ["moved"], [])


def test_a_character_between_before_or_after_passages_is_missed_and_whitespace_is_not():
    between = passages(("0", "k", 0, 1, "a"), ("0", "l", 4, 5, "c"))
    assert coverage(documents(["a b c"]), between).uncovered == ["0"]
    assert coverage(documents(["a \n c"]), between).uncovered == []
    assert coverage(documents(["x a"]), passages(("0", "k", 2, 3, "a"))).uncovered == ["0"]
    assert coverage(documents(["a x"]), passages(("0", "k", 0, 1, "a"))).uncovered == ["0"]
    assert coverage(documents(["a", "b"]), passages(("1", "k", 0, 1, "b"))).uncovered == ["0"]


def test_passages_of_a_refused_or_unknown_document_are_misplaced():
    made = passages(("0", "k", 0, 1, "a"), ("1", "l", 0, 1, "b"), ("9", "m", 0, 1, "c"))
    found = coverage(documents(["a", "b"], refused={1}), made)
    assert found.misplaced == ["l", "m"]
    assert found.documents == 1
