"""A forgotten document stays out, whatever the source does, until its tombstone is removed."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion.documents import documents, refresh
from bonito_assets.lineage.tombstones import Tombstone, Tombstones, UnderWay
from resources.store import Store

NAMES = ("doc_id", "text_digest", "content_sha256")


def stone(doc_id="d", text_digest="t", content_sha256="c"):
    return Tombstone(doc_id, text_digest, content_sha256, "2026-11-24T00:00:00+00:00", "", "run")


def row(**changes):
    given_ = {"corpus": "c", "doc_id": "other", "uri": "a.txt", "title": "Title", "text": "Text",
              "n_chars": 4, "text_digest": "other", "content_sha256": "other",
              "headings": [{"start_char": 0, "level": 1}], "media_type": "text/plain"}  # fmt: skip
    [batch] = tables.build("documents", [{**given_, **changes}]).to_batches()
    return batch


def place(folder, texts):
    """Writes a source of one file, a row per text, and gives its corpus."""
    rows = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    source = {"files": "rows.jsonl", "id_field": "id"}
    return Corpus(name="c", folder=folder, source=source, task_types=["nli"])


def ingested(folder, texts, forgotten=None):
    """Gives id, text and verdict of what comes in from a source."""
    [batch] = documents(place(folder, texts), forgotten=forgotten)
    names = ("doc_id", "text", "rejected_because")
    return [tuple(r[name] for name in names) for r in batch.to_pylist()]


def refreshed(store, folder, texts):
    refresh(store, place(folder, texts), lambda line: None)
    return store.read("documents", "c").to_pylist()


@pytest.mark.parametrize("known_by", NAMES)
def test_a_document_is_known_by_its_id_and_by_its_content(known_by):
    forgotten = Tombstones((stone("x", "x", "x"),))
    [made] = forgotten.applied(row(**{known_by: "x"})).to_pylist()
    assert made["rejected_because"] == "forgotten"
    [kept] = forgotten.applied(row()).to_pylist()
    assert kept == row().to_pylist()[0]


@given(st.text(), st.text(), st.integers(0, 2**40), st.one_of(st.none(), st.text()))
def test_its_row_is_the_same_whatever_the_document_now_says(title, text, n_chars, warning):
    forgotten = Tombstones((stone(),))
    said = {"title": title, "text": text, "n_chars": n_chars, "warning": warning}
    edited = row(doc_id="d", text_digest="edited", content_sha256="edited", **said)
    assert forgotten.applied(edited).equals(forgotten.applied(row(doc_id="d")))


def test_a_row_that_is_emptied_keeps_the_columns_of_its_table():
    made = Tombstones((stone(),)).applied(row(doc_id="d"))
    tables.check("documents", pa.Table.from_batches([made]))
    assert made.schema == row().schema


def test_what_was_written_is_read_again(tmp_path):
    store = Store(root=str(tmp_path))
    assert Tombstones.read(store, "c") == Tombstones()
    made = Tombstones((stone(), stone("e", None, None)), UnderWay(["e"], "why", ["0123"]))
    made.write(store, "c")
    assert Tombstones.read(store, "c") == made
    assert Tombstones.read(store, "other") == Tombstones()


def test_a_document_keeps_its_first_tombstone():
    first = Tombstones((stone(),))
    again = Tombstone("d", "new", "new", "later", "", "other run")
    assert first.with_stones([again], None) == first


def test_who_is_taken_back_is_not_being_forgotten_any_longer():
    made = Tombstones((stone("d"), stone("e")), UnderWay(["d", "e"], "why", ["0123"]))
    left = made.without(["d"])
    assert (left.doc_ids, left.under_way.doc_ids) == ({"e"}, ["e"])
    assert left.without(["e"]) == Tombstones()


def test_a_forgotten_row_is_not_taken_in_and_its_neighbours_are(tmp_path):
    [(doc_id, _, _), other] = ingested(tmp_path, {"a": "Said by a.", "b": "Said by b."})
    forgotten = Tombstones((stone(doc_id),))
    made = ingested(tmp_path, {"a": "Now it says more.", "b": "Said by b."}, forgotten)
    assert made == [(doc_id, None, "forgotten"), other]


def test_of_two_equal_documents_the_other_does_not_come_in_its_place(tmp_path):
    equal = {"a": "Said by both.", "b": "Said by both."}
    store = Store(root=str(tmp_path / "data"))
    first = refreshed(store, tmp_path, equal)[0]
    forgotten = stone(first["doc_id"], first["text_digest"], first["content_sha256"])
    made = ingested(tmp_path, equal, Tombstones((forgotten,)))
    assert [verdict for _, _, verdict in made] == ["forgotten", "forgotten"]


def test_a_refresh_in_which_nothing_changed_does_not_read_its_file_again(tmp_path):
    texts = {"a": "Said by a.", "b": "Said by b."}
    store = Store(root=str(tmp_path / "data"))
    doc_id = refreshed(store, tmp_path, texts)[0]["doc_id"]
    Tombstones((stone(doc_id),)).write(store, "c")
    first = refreshed(store, tmp_path, texts)
    assert [r["text"] for r in first] == [None, "Said by b."]
    again = refresh(store, place(tmp_path, texts), lambda line: None)
    assert again.seen.unchanged == 1
    assert store.read("documents", "c").to_pylist() == first


def test_without_its_tombstone_a_document_comes_back_by_itself(tmp_path):
    texts = {"a": "Said by a.", "b": "Said by b."}
    store = Store(root=str(tmp_path / "data"))
    before = refreshed(store, tmp_path, texts)
    Tombstones((stone(before[0]["doc_id"]),)).write(store, "c")
    refreshed(store, tmp_path, texts)
    Tombstones().write(store, "c")
    refreshed(store, tmp_path, texts)
    assert refreshed(store, tmp_path, texts) == before
