"""Rows of `chunks`: exact offsets, stable ids, units, headings, verdicts; batch by batch."""

import pyarrow as pa
import pytest

from bonito_assets import tables
from bonito_assets.chunking import chunks as module
from bonito_assets.chunking.chunks import chunks
from bonito_assets.identity import digest


def documents(*texts, headings=None, rejected=()):
    rows = [
        {
            "corpus": "c",
            "doc_id": f"d{number}",
            "uri": f"{number}.txt",
            "text": text,
            "headings": headings and [{"start_char": s, "level": level} for s, level in headings],
            "rejected_because": "unreadable" if number in rejected else None,
        }
        for number, text in enumerate(texts)
    ]
    fields = [tables.DOCUMENTS.field(name) for name in rows[0]]
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(fields))


def words(texts):
    return [len(text.split()) for text in texts]


def rows(batches, max_chars, **options):
    return [
        row
        for batch in chunks(batches, max_chars, words, **options)
        for row in tables.check("chunks", pa.Table.from_batches([batch])).to_pylist()
    ]


TEXT = "Erster Satz. 😀 Zweiter é Satz.\n\nDritter."


def test_offsets_point_into_the_documents_text():
    made = rows([documents(TEXT)], 20)
    assert len(made) > 1
    for row in made:
        assert TEXT[row["start_char"] : row["end_char"]] == row["text"]
        assert row["n_tokens"] == len(row["text"].split())
    assert [row["position"] for row in made] == list(range(len(made)))


def test_a_refused_document_has_no_passages():
    assert [row["text"] for row in rows([documents("Bad.", "Good.", rejected=[0])], 100)] == [
        "Good."
    ]
    assert rows([documents(None, rejected=[0])], 100) == []


def test_ids_of_passages_are_digests_of_document_place_and_text():
    made = rows([documents("Same. Same.", "Same. Same. ")], 6)
    assert len({row["chunk_id"] for row in made}) == len(made) == 4
    for row in made:
        parts = row["doc_id"], row["start_char"], row["end_char"], row["text"]
        assert row["chunk_id"] == digest(*parts)


def test_a_span_that_is_paragraph_and_sentence_is_one_row():
    made = rows([documents("One. Two.\n\nThree three.")], 12, units=["paragraph", "sentence"])
    assert [(row["text"], row["units"]) for row in made] == [
        ("One.", ["sentence"]),
        ("One. Two.", ["paragraph"]),
        ("Two.", ["sentence"]),
        ("Three three.", ["paragraph", "sentence"]),
    ]
    assert [row["position"] for row in made] == [0, 1, 2, 3]


def test_only_the_units_asked_for_are_made():
    assert {u for row in rows([documents(TEXT)], 20) for u in row["units"]} == {"paragraph"}
    made = rows([documents(TEXT)], 20, units=["sentence"])
    assert [row["text"] for row in made] == ["Erster Satz.", "😀 Zweiter é Satz.", "Dritter."]


def test_a_sentence_over_a_limit_is_in_paragraphs_only():
    text = "One two three four five. Six."
    made = rows([documents(text)], 100, max_tokens=3, units=["paragraph", "sentence"])
    assert [row["text"] for row in made if "sentence" in row["units"]] == ["Six."]
    assert all(row["n_tokens"] <= 3 for row in made)
    assert " ".join(row["text"] for row in made if "paragraph" in row["units"]) == text


def test_a_passage_knows_the_headings_over_it():
    text = "Preface.\n\n# Rivers\n\nThey flow.\n\n## Banks\n\nThey hold.\n\n# Walls\n\nThey stand."
    places = [(text.index(f"{mark} {title}"), len(mark)) for mark, title in
              [("#", "Rivers"), ("##", "Banks"), ("#", "Walls")]]  # fmt: skip
    made = rows([documents(text, headings=places)], 100, units=["sentence"])
    assert [(row["text"], row["heading_path"]) for row in made] == [
        ("Preface.", []),
        ("They flow.", ["Rivers"]),
        ("They hold.", ["Rivers", "Banks"]),
        ("They stand.", ["Walls"]),
    ]


def test_titles_and_paths_have_a_length_that_is_bounded():
    places = [(300 * number, number) for number in range(40)]
    made = rows([documents("x" * 12_000, headings=places)], 12_000)
    [last] = rows([documents("x" * 12_000 + " End.", headings=places)], 20_000)[-1:]
    for row in [*made, last]:
        assert len(row["heading_path"]) <= 9
        assert all(len(title) <= 200 for title in row["heading_path"])


def test_a_verdict_of_the_judge_stands_in_its_row():
    made = rows(
        [documents("Short. A longer sentence.")],
        100,
        units=["sentence"],
        judge=lambda text, units: "too_short" if len(text) < 10 and "sentence" in units else None,
    )
    assert [row["rejected_because"] for row in made] == ["too_short", None]


@pytest.mark.parametrize("at_once", [1, 30, 1000])
def test_rows_do_not_depend_on_how_documents_are_batched(monkeypatch, at_once):
    texts = [f"Text {number}. And more.\n\nLast." for number in range(20)]
    whole = rows([documents(*texts)], 12, max_tokens=2)
    monkeypatch.setattr(module, "_CHARS_AT_ONCE", at_once)
    batch = documents(*texts)
    assert rows([batch.slice(0, 7), batch.slice(7)], 12, max_tokens=2) == whole


def test_documents_are_asked_for_only_as_their_rows_are(monkeypatch):
    monkeypatch.setattr(module, "_CHARS_AT_ONCE", 10)
    asked = []

    def read():
        for number in range(5):
            asked.append(number)
            yield documents("Some text of it.")

    made = chunks(read(), 100, words)
    next(made)
    assert asked == [0]
