"""Every text becomes storable, and headings stay where they stood."""

import unicodedata

import hypothesis.strategies as st
from hypothesis import given

from bonito_assets.ingestion.items import Item
from bonito_assets.ingestion.reading import Limits, Reading
from bonito_assets.ingestion.rendering import SCHEMA, clean, rows

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


def row(**fields):
    reading = Reading("c", limits=fields.pop("limits", Limits()))
    [made] = rows([(0, Item("a", None, **fields))], reading).to_pylist()
    return made


def test_cleaning_composes_and_replaces_what_no_table_holds():
    assert clean("e\u0301 \0 \ud800") == "é  \ufffd"


@given(ANY_TEXT)
def test_clean_text_can_be_stored_and_is_clean_already(text):
    once = clean(text)
    once.encode("utf-8")
    assert "\0" not in once
    assert unicodedata.is_normalized("NFC", once)
    assert clean(once) == once


@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_a_heading_stands_before_the_same_text_after_cleaning(lines):
    lines = [line.replace("\n", "") for line in lines]
    text, starts = "", []
    for line in lines:
        starts.append(len(text))
        text += f"{line}\n"
    made = row(text=text + "end", headings=tuple((start, 1) for start in starts))
    for heading, line in zip(made["headings"], lines, strict=True):
        assert made["text"][heading["start_char"] :].startswith(clean(line))
    assert made["text"] == clean(text + "end")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_row_without_a_verdict_has_text_and_one_with_a_verdict_says_why(uri, title, text, id_):
    made = rows([(0, Item(uri, None, title=title, text=text, own_id=id_))], Reading("c"))
    assert made.schema == SCHEMA
    [found] = made.to_pylist()
    assert (found["rejected_because"] is None) == bool(found["text"].strip())
    assert (found["error"] is None) == (found["rejected_because"] is None)
    assert found["n_chars"] == len(found["text"])


def test_a_text_above_the_limit_is_refused_without_being_kept():
    made = row(text="x" * 1_000_001, limits=Limits(text_mb=1))
    assert (made["rejected_because"], made["text"]) == ("too_large", None)
    assert row(text="x" * 1_000_000, limits=Limits(text_mb=1))["rejected_because"] is None
