"""Passages are found by id and by number, whatever the order; contents are known by their keys."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets.curation.keys import keys
from bonito_assets.curation.passages import Passages, StaleTable

TEXTS = ["one", "two", "", "four", "fünf", "six", "seven"]
IDS = [f"id{n}" for n in range(len(TEXTS))]


@pytest.fixture(scope="module")
def passages(tmp_path_factory):
    table = pa.table({"chunk_id": IDS, "doc_id": list("aabbccc"), "text": TEXTS})
    return Passages(table.to_batches(max_chunksize=3), tmp_path_factory.mktemp("passages"))


@given(numbers=st.lists(st.integers(0, len(TEXTS) - 1)))
def test_texts_come_in_the_order_in_which_they_are_asked_for(passages, numbers):
    found = passages.texts(np.array(numbers, np.int64))
    assert found.to_pylist() == [TEXTS[n] for n in numbers]
    ids = pa.array([IDS[n] for n in numbers], pa.string())
    assert passages.numbers(ids).tolist() == numbers
    assert passages.of(ids).to_pylist() == found.to_pylist()


def test_each_passage_of_some_rows_is_held_once(passages):
    assert len(passages.of(pa.array(["id5", "id1", "id5", "id5"])).dictionary) == 2


def test_passages_of_one_document_share_its_number(passages):
    assert [len(set(passages.documents[part].tolist())) for part in (
        slice(0, 2), slice(2, 4), slice(4, 7), slice(0, 7)
    )] == [1, 1, 1, 3]  # fmt: skip


def test_a_passage_that_is_not_there_is_named(passages):
    with pytest.raises(StaleTable, match="id99"):
        passages.numbers(pa.array(["id1", "id99"]))


WORDS = st.one_of(st.none(), st.text("ab\0é", max_size=20))


@given(st.lists(st.tuples(WORDS, WORDS), max_size=12), st.integers(0, 12))
def test_rows_share_a_key_exactly_when_all_their_strings_are_equal(rows, cut):
    one, other = (pa.array([row[i] for row in rows], pa.string()) for i in (0, 1))
    found = keys(one, other).tolist()
    assert len(set(found)) == len(set(rows))
    assert len(set(zip(rows, found, strict=True))) == len(set(rows))
    # A stretch of a batch has the keys that it has by itself.
    assert keys(one.slice(cut), other.slice(cut)).tolist() == found[cut:]


def test_keys_are_the_same_on_every_machine_and_in_every_version():
    found = keys(pa.array(["", None, "a", "a longer text than eight bytes"]))
    assert [f"{key:016x}" for key in found] == [
        "f5904f05c9828dd6", "b57a9e43017d85fa", "5d1fc39e5dc30a84", "68a975a5f4f0f242"
    ]  # fmt: skip
