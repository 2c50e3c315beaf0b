"""A document is in one split; about a tenth of them, and one at least, is in validation."""

import itertools

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bonito_assets.publishing.split import VALIDATION_SHARE, border, place

IDS = st.lists(st.text(min_size=1, max_size=8), max_size=60)


def held_out(doc_ids):
    """The rule said slowly, over all documents at once."""
    places = sorted(map(place, set(doc_ids)))
    chosen = [found for found in places if found[0] < VALIDATION_SHARE]
    if len(places) < 2:
        return set()
    if not chosen:
        chosen = places[:1]
    if len(chosen) == len(places):
        chosen = places[:-1]
    return {doc_id for _, doc_id in chosen}


def split(doc_ids, batch=7):
    batches = [pa.array(doc_ids[i : i + batch], pa.string()) for i in range(0, len(doc_ids), batch)]
    line = border(batches)
    inside = [line.in_validation(some).to_pylist() for some in batches]
    return {d for d, is_in in zip(doc_ids, itertools.chain(*inside), strict=True) if is_in}


@given(IDS)
def test_a_stream_of_rows_is_split_as_the_whole_would_be(doc_ids):
    assert split(doc_ids) == held_out(doc_ids)


@given(st.sets(st.text(min_size=1, max_size=8), min_size=2, max_size=60))
def test_two_or_more_documents_fill_both_splits(doc_ids):
    assert 0 < len(split(sorted(doc_ids))) < len(doc_ids)


@pytest.mark.parametrize("inside", [True, False])
def test_documents_of_one_side_alone_give_one_to_the_other(inside):
    names = [f"d{i}" for i in range(500)]
    alike = [n for n in names if (place(n)[0] < VALIDATION_SHARE) == inside]
    assert len(split(alike)) == (len(alike) - 1 if inside else 1)


def test_about_a_tenth_is_held_out_and_new_documents_move_no_old_one():
    before, after = (split([f"d{i}" for i in range(n)]) for n in (1000, 2000))
    assert 70 < len(before) < 130
    assert before <= after


def test_a_document_alone_makes_no_validation_split():
    assert split(["d", "d"]) == set()
