"""Slides come in their order, each under its title, and read as one reads a page."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pptx import Presentation
from pptx.util import Inches

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.pptx import read

TITLE, TITLE_AND_BODY, TITLE_ONLY, BLANK = 0, 1, 5, 6


def saved(deck):
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def add_slide(deck, layout, title=None):
    slide = deck.slides.add_slide(deck.slide_layouts[layout])
    if title:
        slide.shapes.title.text = title
    return slide


def add_box(shapes, text, left, top, width=3.0, height=1.0):
    box = shapes.add_textbox(Inches(left), Inches(top), Inches(width), Inches(height))
    box.text_frame.text = text
    return box


def add_bullet(frame, kind, **said):
    properties = frame.paragraphs[-1]._p.get_or_add_pPr()
    space = "http://schemas.openxmlformats.org/drawingml/2006/main"
    properties.append(etree.Element(f"{{{space}}}{kind}", **said))


def boxes(*places):
    deck = Presentation()
    slide = add_slide(deck, BLANK)
    for text, *place in places:
        add_box(slide.shapes, text, *place)
    return read(saved(deck)).text.split("\n\n")


def test_titles_are_headings_and_bodies_are_lists_where_the_layout_says_so():
    deck = Presentation()
    add_slide(deck, TITLE, "The river").placeholders[1].text = "A report"
    slide = add_slide(deck, TITLE_AND_BODY, "Found")
    frame = slide.placeholders[1].text_frame
    frame.text = "Herons"
    frame.add_paragraph().text = "nest early"
    frame.paragraphs[1].level = 1
    found = read(saved(deck))
    assert found.text == "The river\n\nA report\n\nFound\n\n- Herons\n- nest early"
    assert [(found.text[start:].split("\n")[0], level) for start, level in found.headings] == [
        ("The river", 1),
        ("Found", 1),
    ]
    assert found.title == "The river"


def test_a_paragraph_can_do_without_its_bullet_or_have_a_number():
    deck = Presentation()
    frame = add_slide(deck, TITLE_AND_BODY, "List").placeholders[1].text_frame
    for kind, said in [
        ("buNone", {}),
        ("buAutoNum", {"type": "arabicPeriod"}),
        ("buAutoNum", {"type": "arabicPeriod"}),
        ("buChar", {"char": "*"}),
        ("buAutoNum", {"type": "alphaUcParenBoth", "startAt": "3"}),
    ]:
        if frame.paragraphs[-1].text:
            frame.add_paragraph()
        frame.paragraphs[-1].text = "item"
        add_bullet(frame, kind, **said)
    lines = read(saved(deck)).text.split("\n\n", 1)[1]
    assert lines == "item\n\n1. item\n2. item\n- item\n(C) item"


def test_slides_come_in_the_order_of_the_presentation():
    deck = Presentation()
    for title in ("second", "first"):
        add_slide(deck, TITLE_ONLY, title)
    order = deck.slides._sldIdLst
    order.insert(0, order[1])
    assert read(saved(deck)).text == "first\n\nsecond"


def test_a_hidden_slide_is_left_out():
    deck = Presentation()
    add_slide(deck, TITLE_ONLY, "shown")
    add_slide(deck, TITLE_ONLY, "hidden")._element.set("show", "0")
    assert read(saved(deck)).text == "shown"


def test_rows_are_read_before_columns_where_the_boxes_line_up():
    assert boxes(("d", 5, 4), ("b", 5, 2), ("c", 1, 4), ("a", 1, 2)) == ["a", "b", "c", "d"]


def test_columns_are_read_one_after_the_other_where_a_box_spans_the_rows():
    assert boxes(("c", 5, 1, 3, 5), ("b", 1, 4), ("a", 1, 1)) == ["a", "b", "c"]


def test_boxes_that_stand_almost_level_are_read_from_the_left():
    assert boxes(("b", 5, 1.0), ("a", 1, 1.1)) == ["a", "b"]


@given(st.permutations(range(6)))
def test_the_order_of_reading_does_not_depend_on_the_order_of_making(order):
    made = [(str(n), 1 + 4 * (n % 2), 1 + 2 * (n // 2)) for n in order]
    assert boxes(*made) == list("012345")


def test_groups_are_read_where_they_stand():
    deck = Presentation()
    slide = add_slide(deck, BLANK)
    add_box(slide.shapes, "below", 1, 6)
    group = slide.shapes.add_group_shape()
    add_box(group.shapes, "right", 5, 2)
    add_box(group.shapes, "left", 1, 2)
    add_box(slide.shapes, "above", 1, 0.5)
    assert read(saved(deck)).text == "above\n\nleft\n\nright\n\nbelow"


def test_cells_of_a_table_are_parted_by_bars_and_merged_ones_shown_once():
    deck = Presentation()
    shapes = add_slide(deck, BLANK).shapes
    table = shapes.add_table(3, 3, Inches(1), Inches(1), Inches(6), Inches(3)).table
    for number, cell in enumerate(table.iter_cells()):
        cell.text = f"c{number}"
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(0, 1).text = "wide"
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(1, 0).text = "high"
    assert read(saved(deck)).text == "c0 | wide\nhigh | c4 | c5\n| c7 | c8"


def test_what_the_speaker_says_follows_its_slide():
    deck = Presentation()
    notes = add_slide(deck, TITLE_ONLY, "one").notes_slide.notes_text_frame
    notes.text = "First this.\nThen that."
    add_slide(deck, TITLE_ONLY, "two")
    assert read(saved(deck)).text == "one\n\nNotes:\n\nFirst this.\n\nThen that.\n\ntwo"


def test_numbers_dates_and_footers_of_slides_are_left_out():
    deck = Presentation()
    slide = add_slide(deck, TITLE_ONLY, "one")
    for placeholder in deck.slide_layouts[TITLE_ONLY].placeholders:
        if placeholder.placeholder_format.idx >= 10:
            slide.shapes._spTree.append(etree.fromstring(etree.tostring(placeholder._element)))
            slide.shapes[-1].text_frame.text = "page 1 of 9"
    assert len(slide.shapes) > 1
    assert read(saved(deck)).text == "one"


def test_title_and_licence_are_those_of_the_properties():
    deck = Presentation()
    add_slide(deck, TITLE_ONLY, "one")
    deck.core_properties.title = "The river"
    assert read(saved(deck)).title == "The river"


def refused(content):
    with pytest.raises(Refused) as refusal:
        read(content)
    return refusal.value.code


def test_files_that_cannot_be_read_say_why():
    whole = saved(Presentation())
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512)
    assert refused(whole) == "empty"
    assert refused(whole[: len(whole) // 2]) == "unreadable"
    assert refused(ole) == "unsupported_format"
    assert refused(ole + "EncryptedPackage".encode("utf-16-le")) == "encrypted"
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ppt/media/a", bytes(2**21))
    assert refused(file.getvalue()) == "unsafe_archive"
