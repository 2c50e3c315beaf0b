"""What came from a document that is gone is forgotten, and nothing else is."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.lineage.orphans import Orphans
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


def secret(*parts):
    """Gives a text that stands nowhere else."""
    return random.Random(repr(parts)).randbytes(30).hex()


def key(text):
    return digest("prompt", text)


def write(store, corpus, documents, chunked=None):
    """Writes tables for `documents`, text by name; passages and generations are of `chunked`."""
    chunked = documents if chunked is None else chunked
    made = {
        "documents": [
            {"corpus": corpus, "doc_id": name, "uri": name, "text": text}
            for name, text in documents.items()
        ],
        "chunks": [
            {
                "corpus": corpus,
                "chunk_id": f"{corpus}-{name}",
                "doc_id": name,
                "uri": name,
                "position": 0,
                "start_char": 0,
                "end_char": len(text),
                "text": text,
                "units": ["paragraph"],
            }
            for name, text in chunked.items()
        ],
        "generations": [
            {
                "corpus": corpus,
                "generation_id": f"{corpus}-{name}-g",
                "request_key": key(text),
                "chunk_id": f"{corpus}-{name}",
                "task_type": "nli",
                "sample": 0,
            }
            for name, text in chunked.items()
        ],
    }
    for table, rows in made.items():
        store.write(table, corpus, tables.build(table, rows))


def remember(store, *texts):
    with GenerationCache(store).writer() as writer:
        for text in texts:
            outcome = Outcome(key(text), secret(text), "stop", 1, 1, -0.1)
            writer.add(outcome, model="m", task_type="nli")


def remembered(store, *texts):
    return GenerationCache(store).find([[key(text) for text in texts]]).present.tolist()


def everything_in_the_cache(tmp_path):
    """Gives all values of all files, whatever they are called, since their bytes are compressed."""
    files = [path for path in (tmp_path / "data/generation_cache").rglob("*") if path.is_file()]
    return repr([pq.read_table(path).to_pylist() for path in files])


def forget_removed(store, corpus, *passages):
    """Takes leave while `passages` are written as the new chunks; gives how much was forgotten."""
    orphans = Orphans(store, corpus)
    new = pa.RecordBatch.from_pydict({"text": list(passages)}, pa.schema([("text", pa.string())]))
    assert list(orphans.forgetting([new])) == [new]
    return orphans.forgotten


def test_a_passage_that_comes_again_in_another_document_keeps_its_outputs(store):
    remember(store, "moved", "gone")
    write(store, "c", {"new name": "moved"}, chunked={"old name": "moved", "b": "gone"})
    assert forget_removed(store, "c", "moved", "new") == 1
    assert remembered(store, "moved", "gone") == [True, False]


def test_outputs_of_a_document_that_is_gone_are_forgotten(store, tmp_path):
    remember(store, "kept", "gone", "also gone")
    for text in ("kept", "gone", "also gone"):
        assert secret(text) in everything_in_the_cache(tmp_path)
    old = {"a": "kept", "b": "gone", "c": "also gone"}
    write(store, "c", {"a": "kept"}, chunked=old)
    assert forget_removed(store, "c") == 2
    assert remembered(store, *old.values()) == [True, False, False]
    assert secret("kept") in everything_in_the_cache(tmp_path)
    for text in ("gone", "also gone"):
        assert secret(text) not in everything_in_the_cache(tmp_path)


def test_forgetting_again_does_nothing(store):
    remember(store, "kept", "gone")
    write(store, "c", {"a": "kept"}, chunked={"a": "kept", "b": "gone"})
    assert [forget_removed(store, "c") for _ in range(3)] == [1, 0, 0]
    assert remembered(store, "kept", "gone") == [True, False]


def test_a_passage_that_another_document_has_too_is_kept(store):
    remember(store, "shared", "gone")
    write(store, "c", {"a": "shared"}, chunked={"a": "shared", "b": "shared", "d": "gone"})
    assert forget_removed(store, "c") == 1
    assert remembered(store, "shared", "gone") == [True, False]


def test_a_passage_that_another_corpus_has_too_is_kept(store):
    remember(store, "shared", "gone")
    write(store, "other", {"x": "shared"})
    write(store, "c", {}, chunked={"a": "shared", "b": "gone"})
    assert forget_removed(store, "c") == 1
    assert remembered(store, "shared", "gone") == [True, False]
    write(store, "other", {}, chunked={"x": "shared"})
    write(store, "c", {})
    assert forget_removed(store, "other") == 1
    assert remembered(store, "shared") == [False]


def test_two_documents_that_share_a_passage_and_are_both_gone_take_it_with_them(store):
    remember(store, "shared")
    write(store, "c", {"z": "other"}, chunked={"a": "shared", "b": "shared", "z": "other"})
    assert forget_removed(store, "c") == 1
    assert remembered(store, "shared") == [False]


def test_a_document_of_another_corpus_with_the_same_id_saves_nothing(store):
    remember(store, "gone", "kept")
    write(store, "other", {"a": "kept"})
    write(store, "c", {}, chunked={"a": "gone"})
    assert forget_removed(store, "c") == 1
    assert remembered(store, "gone", "kept") == [False, True]


def test_where_nothing_is_gone_or_nothing_was_made_nothing_is_forgotten(store):
    assert forget_removed(store, "c") == 0
    remember(store, "kept")
    write(store, "c", {"a": "kept"})
    assert forget_removed(store, "c") == 0
    assert remembered(store, "kept") == [True]


def test_what_was_never_in_the_cache_is_no_error(store):
    write(store, "c", {}, chunked={"a": "never generated"})
    assert forget_removed(store, "c") == 0


def test_a_paragraph_that_was_edited_away_is_forgotten_and_one_that_stands_is_not(store):
    remember(store, "first", "second")
    write(store, "c", {"a": "the first stands"}, chunked={"a": "first"})
    assert forget_removed(store, "c") == 0
    write(store, "c", {"a": "another text"}, chunked={"a": "second"})
    assert forget_removed(store, "c") == 1
    assert remembered(store, "first", "second") == [True, False]


@pytest.mark.parametrize("inside", ["f.jsonl", "f.jsonl#3", "f.jsonl!/member.txt"])
def test_a_file_that_cannot_be_read_this_time_keeps_its_outputs(store, inside):
    remember(store, "kept", "gone")
    old = {inside: "kept", "f.jsonlx": "gone"}
    write(store, "c", {"f.jsonl": None}, chunked=old)
    assert forget_removed(store, "c") == 1
    assert remembered(store, "kept", "gone") == [True, False]


def test_passages_of_a_version_that_did_not_know_their_place_are_no_error(store):
    remember(store, "old")
    write(store, "c", {}, chunked={"a": "old"})
    store.write("chunks", "c", store.read("chunks", "c").drop_columns(["uri"]))
    assert forget_removed(store, "c") == 0
    assert remembered(store, "old") == [True]
