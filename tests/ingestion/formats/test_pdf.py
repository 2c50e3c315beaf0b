"""A PDF reads as a person would read it, or is refused with the cause."""

from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.pdf import read
from bonito_assets.ingestion.formats.pdf.scrambled import is_scrambled
from bonito_assets.tables import REJECTIONS
from tests.ingestion.formats.pdf_files import (
    BOLD,
    MAPPED,
    MONO,
    PICTURE,
    PLAIN,
    UNMAPPED,
    line,
    lines,
    pdf,
    stroke,
)

# Lines of about 200 points, as in a column; the second paragraph begins with an indent.
LEFT = [
    "The heron stood in the shallow water and",
    "waited for the small fish to come close to",
    "its feet, as it had done on every morning",
    "of that long and dry and windless month.",
]
RIGHT = [
    "A clerk of the court wrote down the names",
    "of all the parties and of their witnesses in",
    "the great book, then he closed it carefully",
    "and carried it back to the locked cupboard.",
]
PARAGRAPH = " ".join(LEFT)


def shifted(text):
    return "".join(chr(ord(char) - 29) if char != " " else "\x03" for char in text)


# A page whose font does not say which characters it shows.
GIBBERISH = lines(50, 700, map(shifted, LEFT), font=UNMAPPED)


def text(*pages, **options):
    return read(pdf(*pages, **options)).text


def refusal(content):
    with pytest.raises(Refused) as caught:
        read(content)
    assert caught.value.code in REJECTIONS
    return caught.value.code, str(caught.value)


def test_lines_become_a_paragraph():
    assert text(lines(50, 700, LEFT)) == PARAGRAPH


def test_a_gap_between_lines_sets_paragraphs_apart():
    page = lines(50, 700, LEFT) + lines(50, 640, RIGHT)
    assert text(page) == f"{PARAGRAPH}\n\n{' '.join(RIGHT)}"


def test_an_indented_line_begins_a_paragraph():
    page = lines(50, 700, LEFT) + line(62, 652, RIGHT[0]) + lines(50, 640, RIGHT[1:])
    assert text(page) == f"{PARAGRAPH}\n\n{' '.join(RIGHT)}"


def test_lines_that_end_early_stay_lines():
    address = ["Heron Press", "4 Mill Lane", "Oxford", "England"]
    page = lines(50, 700, LEFT) + lines(50, 640, address)
    assert text(page) == f"{PARAGRAPH}\n\n" + "\n".join(address)


def test_columns_are_read_one_after_the_other_below_a_title_across_both():
    title = line(120, 740, "Birds and Courts of a Small Town", 20)
    page = lines(320, 700, RIGHT) + title + lines(50, 700, LEFT)
    assert text(page) == f"Birds and Courts of a Small Town\n\n{PARAGRAPH}\n\n{' '.join(RIGHT)}"


def test_columns_need_not_share_their_baselines():
    page = lines(50, 700, LEFT) + lines(320, 695, RIGHT)
    assert text(page) == f"{PARAGRAPH}\n\n{' '.join(RIGHT)}"


def test_wide_spaces_in_a_stretched_line_make_no_column():
    stretched = line(50, 712, "Birds of") + line(110, 712, "the great") + line(212, 712, "river.")
    page = stretched + lines(50, 700, LEFT) + lines(320, 712, [*RIGHT, "And so it ended."])
    assert text(page) == (
        f"Birds of the great river. {PARAGRAPH}\n\n{' '.join(RIGHT)} And so it ended."
    )


def test_a_paragraph_goes_on_in_the_next_column_and_on_the_next_page():
    halves = lines(50, 700, [*RIGHT, LEFT[0]]) + lines(320, 700, [*LEFT[1:], *RIGHT])
    assert text(halves) == " ".join([*RIGHT, *LEFT, *RIGHT])
    assert text(lines(50, 700, LEFT[:2]), lines(50, 700, LEFT[2:])) == PARAGRAPH


def test_a_footnote_does_not_come_between_the_halves_of_a_paragraph():
    first = lines(50, 700, LEFT[:2]) + line(50, 60, "A note on herons.", 7)
    assert text(first, lines(50, 700, LEFT[2:])) == f"{PARAGRAPH}\n\nA note on herons."


def test_a_sentence_that_ends_with_its_page_ends_a_paragraph():
    assert text(lines(50, 700, LEFT), lines(50, 700, RIGHT)) == f"{PARAGRAPH}\n\n{' '.join(RIGHT)}"


def test_pages_of_one_line_each_stay_apart():
    pages = [line(50, 700, shown) for shown in ("Birds of the River", "Courts of the Town")]
    assert text(*pages) == "Birds of the River\n\nCourts of the Town"


def test_words_divided_at_the_end_of_a_line_or_page_are_mended():
    assert text(lines(50, 700, ["Here is a very good exam-", "ple of it."])) == (
        "Here is a very good example of it."
    )
    assert text(line(50, 700, "Here is a good exam-"), line(50, 700, "ple of it.")) == (
        "Here is a good example of it."
    )


@pytest.mark.parametrize(
    ("head", "tail", "shown"),
    [
        ("It was well-", "known; a well-known bird.", "It was well-known; a well-known bird."),
        (
            "It was the Anglo-",
            "Saxon who saw the bird.",
            "It was the Anglo-Saxon who saw the bird.",
        ),
        (
            "It was as in type-",
            "2 birds, not in others.",
            "It was as in type-2 birds, not in others.",
        ),
        ("He saw her--", "and she saw him there.", "He saw her--and she saw him there."),
    ],
)
def test_hyphens_of_the_word_stay(head, tail, shown):
    assert text(lines(50, 700, [head, tail])) == shown


def test_a_document_that_never_divides_words_keeps_its_hyphens():
    pages = ["".join(lines(50, 750 - 60 * i, LEFT) for i in range(n)) for n in (9, 10, 11, 12)]
    words = lines(
        50, 700, ["Some of the men we met there were half-", "asleep when they saw us come."]
    )
    assert "half-asleep" in text(*pages, words)
    assert "halfasleep" in text(words)


def test_soft_hyphens_inside_a_line_are_no_text():
    assert text(line(50, 700, "An unfore\xadseen bird", font=MAPPED)) == "An unforeseen bird"


def test_ligatures_are_letters():
    page = line(50, 700, "o@ce #sh", font=MAPPED)
    assert text(page, maps={"@": "ffi", "#": "\ufb01"}) == "office fish"


def test_a_raised_number_does_not_become_part_of_a_number():
    page = line(50, 700, "450", 10) + line(66.7, 704, "2", 6) + line(80, 700, "boats")
    assert text(page) == "450² boats"


def test_list_items_stay_apart_and_begin_with_their_mark():
    page = lines(50, 700, LEFT) + lines(
        50, 640, ["• two herons", "• one river", "1. first of all", "2. second of all"]
    )
    assert text(page).split("\n\n")[1].split("\n") == [
        "- two herons", "- one river", "1. first of all", "2. second of all",
    ]  # fmt: skip


TABLE = [["Bird", "Count", "Place"], ["Heron", "12", "river"], ["Stork", "", "roof"]]


def table(x, y, rows, widths=(100, 100, 100), pitch=20, font=PLAIN):
    return "".join(
        line(x + sum(widths[:column]), y - pitch * number, cell, font=font)
        for number, row in enumerate(rows)
        for column, cell in enumerate(row)
        if cell
    )


def test_a_table_without_rules_is_read_row_by_row():
    page = lines(50, 700, LEFT) + table(50, 620, TABLE)
    assert text(page) == f"{PARAGRAPH}\n\nBird | Count | Place\nHeron | 12 | river\nStork | | roof"


def test_a_ruled_table_keeps_the_lines_of_a_cell_together():
    rules = [stroke(45, y, 345, y) for y in (640, 615, 575)]
    rules += [stroke(x, 575, x, 640) for x in (45, 145, 245, 345)]
    cells = table(50, 625, TABLE[:1]) + table(50, 603, [["Heron", "12", "in the river"]])
    page = "".join(rules) + cells + line(250, 591, "of our town")
    assert text(page) == "Bird | Count | Place\nHeron | 12 | in the river of our town"


def ruled(x, y, rows, font=PLAIN):
    n_columns = len(rows[0])
    xs = [x + 60 * number for number in range(n_columns + 1)]
    ys = [y - 20 * number for number in range(len(rows) + 1)]
    rules = [stroke(xs[0], level, xs[-1], level) for level in ys]
    rules += [stroke(upright, ys[-1], upright, ys[0]) for upright in xs]
    return "".join(rules) + table(x + 5, y - 14, rows, [60] * n_columns, font=font)


SQUARES = [[[f"{name}1", f"{name}2"], [f"{name}3", f"{name}4"]] for name in "abcdef"]
SQUARES_READ = [f"{name}1 | {name}2\n{name}3 | {name}4" for name in "abcdef"]


@pytest.mark.parametrize("pitch", [60, 100])
def test_ruled_tables_side_by_side_are_read_row_of_tables_by_row_of_tables(pitch):
    page = "".join(
        ruled(50 + 220 * (number % 2), 700 - pitch * (number // 2), square)
        for number, square in enumerate(SQUARES)
    )
    assert text(page) == "\n\n".join(SQUARES_READ)


def test_small_ruled_tables_side_by_side_are_no_lines_of_one_cell():
    # Rows of tables that lie as close as lines.
    tops = (700, 686.5, 640)
    page = "".join(
        "".join(stroke(left, y, left + 90, y) for y in (top, top - 8))
        + "".join(stroke(left + x, top - 8, left + x, top) for x in (0, 30, 60, 90))
        + table(left + 3, top - 7, [["a", "b", "c"]], widths=(30, 30, 30))
        for top in tops
        for left in (50, 250)
    )
    assert text(page) == "\n\n".join(["a | b | c"] * 6)


def test_a_table_without_rules_ends_above_ruled_tables_side_by_side():
    above = table(50, 700, [["Bird", "Count"], ["Heron", "12"]], widths=(220, 100))
    page = above + ruled(50, 660, SQUARES[0]) + ruled(270, 660, SQUARES[1])
    assert text(page) == "\n\n".join(["Bird | Count\nHeron | 12", *SQUARES_READ[:2]])


def hebrew(rows):
    return [[cell if cell.isascii() else cell[::-1] for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (
            hebrew([["מקום", "מספר", "ציפור"], ["Nile", "12", "Ibis"], ["נהר", "7", "אנפה"]]),
            "ציפור | מספר | מקום\nIbis | 12 | Nile\nאנפה | 7 | נהר",
        ),
        (
            hebrew([["Hebrew name", "Bird", "Count"], ["אנפה", "", "12"], ["Kos", "Thrush", "7"]]),
            "Hebrew name | Bird | Count\nאנפה | | 12\nKos | Thrush | 7",
        ),
    ],
    ids=["to the left", "to the right"],
)
@pytest.mark.parametrize("drawn", [ruled, table])
def test_all_rows_of_a_table_run_the_way_that_most_of_its_letters_do(drawn, rows, shown):
    assert text(drawn(50, 700, rows, font=MAPPED)) == shown


def test_a_frame_around_a_paragraph_makes_no_table():
    frame = [stroke(40, y, 300, y) for y in (715, 655)]
    frame += [stroke(x, 655, x, 715) for x in (40, 300)]
    assert text("".join(frame) + lines(50, 700, LEFT)) == PARAGRAPH


def test_what_repeats_at_the_edge_of_pages_is_left_out():
    pages = [
        line(50, 770, "Annals of the River")
        + lines(50, 700, body)
        + line(290, 30, f"Page {number}")
        for number, body in enumerate([LEFT, RIGHT, LEFT], 7)
    ]
    assert text(*pages) == "\n\n".join([PARAGRAPH, " ".join(RIGHT), PARAGRAPH])


def test_the_title_of_a_short_chapter_beside_a_page_number_is_left_out():
    chapters = ["Herons", "Herons", "Courts", "Rivers"]
    pages = [
        line(50, 770, f"{chapter} {number}") + lines(50, 700, LEFT)
        for number, chapter in enumerate(chapters, 31)
    ]
    assert text(*pages) == "\n\n".join([PARAGRAPH] * 4)


def test_large_numbered_lines_at_the_top_of_pages_are_headings():
    pages = [line(50, 770, f"Chapter {number}", 16) + lines(50, 700, LEFT) for number in (1, 2, 3)]
    assert [level for _, level in read(pdf(*pages)).headings] == [1, 1, 1]


@pytest.mark.parametrize("between", ["", PICTURE, GIBBERISH], ids=["blank", "picture", "gibberish"])
@pytest.mark.parametrize(
    "numbers", [(1, 2, None, 4, None, 6), (1, 2, None, 3, None, 4)], ids=["counted", "uncounted"]
)
def test_page_numbers_count_the_pages_without_text_or_leave_them_out(between, numbers):
    bodies = [LEFT, RIGHT, [*LEFT, *RIGHT], [*RIGHT, *LEFT]]
    rest = iter(bodies)
    pages = [
        lines(50, 700, next(rest)) + line(290, 30, str(number)) if number else between
        for number in numbers
    ]
    assert text(*pages) == "\n\n".join(" ".join(body) for body in bodies)


@pytest.mark.parametrize("letters", ["ı", "İi"])
def test_the_letters_of_turkish_are_no_roman_numbers(letters):
    pages = [
        lines(50, 700, body) + line(290, 30, shown, font=MAPPED)
        for body, shown in [(LEFT, letters), (RIGHT, "ii"), (LEFT, "iii")]
    ]
    assert text(*pages).split("\n\n")[1] == letters


def test_numbers_that_do_not_count_pages_stay():
    pages = [lines(50, 700, LEFT) + line(50, 30, f"{number} herons") for number in (31, 5, 12)]
    assert [f"{number} herons" in text(*pages) for number in (31, 5, 12)] == [True] * 3


def test_pages_that_hold_nothing_but_what_repeats_are_kept():
    assert text(*[line(50, 700, "The same again.")] * 3).count("The same again.") == 3


def test_headings_are_found_by_size_and_weight_and_their_offsets_hit_their_lines():
    page = (
        line(50, 760, "Birds of the River", 20)
        + line(50, 730, "Herons", 14)
        + lines(50, 700, LEFT)
        + line(50, 640, "Their food", font=BOLD)
        + lines(50, 620, RIGHT)
    )
    extracted = read(pdf(page))
    shown = [(extracted.text[at:].split("\n")[0], level) for at, level in extracted.headings]
    assert shown == [("Birds of the River", 1), ("Herons", 2), ("Their food", 3)]


def test_text_of_one_size_has_no_headings():
    assert read(pdf(lines(50, 700, LEFT))).headings == ()
    assert read(pdf(lines(50, 700, LEFT, font=BOLD))).headings == ()


@pytest.mark.parametrize(
    ("stated", "title"),
    [
        ("On Herons", "On Herons"),
        ("Über Reiher", "Über Reiher"),
        ("Microsoft Word - herons.doc", "Birds of the River"),
        ("herons_final_v2", "Birds of the River"),
        ("untitled", "Birds of the River"),
        ("(anonymous)", "Birds of the River"),
        ("", "Birds of the River"),
    ],
)
def test_the_title_is_the_stated_one_if_sensible_else_the_largest_line(stated, title):
    page = line(50, 760, "Birds of the River", 20) + lines(50, 700, LEFT)
    assert read(pdf(page, title=stated)).title == title


@pytest.mark.parametrize(("size", "title"), [(12.0, None), (12.1, "Birds of the River")])
def test_a_line_is_large_enough_for_a_title_where_it_is_a_heading(size, title):
    # 1.15 times 10.5 is 12.075.
    page = line(50, 760, "Birds of the River", size) + lines(50, 700, LEFT, size=10.5)
    extracted = read(pdf(page))
    assert extracted.title == title
    assert bool(extracted.headings) == bool(title)


def test_without_a_stated_title_and_a_large_line_there_is_no_title():
    assert read(pdf(lines(50, 700, LEFT))).title is None


def test_arabic_comes_in_the_order_in_which_it_is_read():
    # Glyphs stand from left to right on the page, as programs write them.
    page = line(50, 700, "مرحبا بالعالم"[::-1], font=MAPPED)
    assert text(page) == "مرحبا بالعالم"


def test_latin_and_numbers_inside_hebrew_keep_their_own_order():
    page = line(50, 700, f"{'עולם'[::-1]} one two {'שלום'[::-1]}", font=MAPPED)
    assert text(page) == "שלום one two עולם"


def test_of_columns_in_hebrew_the_right_one_is_read_first():
    first = [f"האנפה עמדה במים הרדודים {word}" for word in ("וחיכתה", "בבוקר", "בערב", "לבדה")]
    second = [f"פקיד בית המשפט רשם את {word}" for word in ("השמות", "הספר", "העדים", "כולם")]
    page = "".join(
        lines(x, 700, [shown[::-1] for shown in column], font=MAPPED)
        for x, column in ((50, second), (320, first))
    )
    assert text(page).replace("\n", " ").split() == " ".join([*first, *second]).split()


def test_chinese_lines_are_joined_without_a_space():
    page = lines(50, 700, ["河边站着一只苍鹭它", "在等小鱼。"], font=MAPPED)
    assert text(page) == "河边站着一只苍鹭它在等小鱼。"


def test_a_page_turned_on_its_side_is_read_upright():
    page = "".join(
        line(100 + 12 * number, 50, shown, matrix="0 1 -1 0") for number, shown in enumerate(LEFT)
    )
    assert text(page, page="/Rotate 90") == PARAGRAPH


def test_a_watermark_across_the_page_is_no_text():
    page = lines(50, 700, LEFT) + line(100, 100, "DRAFT", 60, matrix="0.7 0.7 -0.7 0.7")
    assert text(page) == PARAGRAPH


def test_text_outside_the_page_is_no_text():
    assert text(lines(50, 700, LEFT) + line(50, 2000, "nobody sees this")) == PARAGRAPH


def test_annotations_and_form_fields_are_no_text():
    note = "/Annots[<</Type/Annot/Subtype/FreeText/Rect[50 50 300 100]/Contents(A remark)>>"
    entry = "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(An entry)/Rect[50 200 300 220]>>]"
    assert text(lines(50, 700, LEFT), page=note + entry) == PARAGRAPH


XMP = """<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/">{}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
URL = "https://creativecommons.org/licenses/by/4.0/"
RIGHTS = (
    f"<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>{'CC BY 4.0'}</rdf:li></rdf:Alt></dc:rights>"
)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("stated", "license"),
    [
        (f"<cc:license rdf:resource='{URL}'/>", URL),
        (f"<xmpRights:WebStatement>{URL}</xmpRights:WebStatement>{RIGHTS}", URL),
        (RIGHTS, "CC BY 4.0"),
        ("<dc:format>application/pdf</dc:format>", None),
        ("<dc:rights>broken", None),
    ],
)
def test_the_license_is_the_one_that_the_metadata_states(stated, license, compressed):
    content = pdf(lines(50, 700, LEFT), xmp=XMP.format(stated), compressed_xmp=compressed)
    assert read(content).license == license


def test_entities_in_the_metadata_are_not_expanded():
    bomb = XMP.format("<dc:rights>&a;</dc:rights>").replace(
        "<rdf:RDF", "<rdf:RDF><!DOCTYPE x [<!ENTITY a 'aaaa'>]></rdf:RDF><rdf:RDF"
    )
    assert read(pdf(lines(50, 700, LEFT), xmp=bomb)).license is None


def test_pictures_of_pages_are_refused_with_the_way_out():
    code, sentence = refusal(pdf(PICTURE, PICTURE))
    assert code == "empty"
    assert "has no text layer" in sentence
    assert "OCR" in sentence


def test_blank_pages_are_empty():
    assert refusal(pdf("", ""))[0] == "empty"


def test_a_warning_counts_the_pages_without_a_text_layer():
    extracted = read(pdf(lines(50, 700, LEFT), PICTURE, PICTURE, ""))
    assert extracted.text == PARAGRAPH
    assert extracted.warning.startswith("has 2 of 4 pages without a text layer")


def test_fonts_that_do_not_say_what_they_show_are_refused():
    code, sentence = refusal(pdf(GIBBERISH))
    assert code == "unreadable"
    assert "its fonts do not say which characters they show" in sentence


@pytest.mark.parametrize("shown", ["\ue012", "\x02", "\ufffd"])
def test_characters_that_stand_for_nothing_are_no_text(shown):
    page = lines(50, 700, ["herons", "rivers"], font=MAPPED)
    assert refusal(pdf(page, maps=dict.fromkeys("heronsiv", shown)))[0] == "unreadable"


def test_a_few_such_pages_are_left_out_with_a_warning():
    extracted = read(pdf(GIBBERISH, lines(50, 700, LEFT), lines(50, 700, RIGHT)))
    assert "7KH" not in extracted.text
    assert extracted.warning.startswith("has 1 of 3 pages whose fonts do not say")


def test_an_unmapped_font_whose_numbers_happen_to_be_letters_is_read():
    assert text(lines(50, 700, LEFT, font=UNMAPPED)) == PARAGRAPH


def test_a_map_that_gives_every_letter_for_another_is_seen_through():
    letters = "abcdefghijklmnopqrstuvwxyz"
    wrong = dict(zip(letters, letters[3:] + letters[:3], strict=True))
    page = lines(50, 700, [*LEFT, *RIGHT], font=MAPPED)
    assert refusal(pdf(page, maps=wrong))[0] == "unreadable"


@pytest.mark.parametrize(
    "text",
    [
        "Wir gingen am Nachmittag durch die Herbstlandschaft und sprachen über Rechtsschutz. " * 20,
        "W Szczebrzeszynie chrząszcz brzmi w trzcinie i Szczebrzeszyn z tego słynie. " * 20,
        "for (int i = 0; i < strlen(str); ++i) { ptr[i] = tmp ^ 0xFF; printf(fmt, ctx); } " * 20,
        "SKU-8847 XJ-12 CRTCL 450 289 TXN-98765 GHT OK MTR-500 PRX KLM FRT DCT WNP " * 20,
        "GATTACAGATTACCAGGTTACCGGATACCAGATACCCGTTGGCCA" * 20,
        "كان مالك الحزين واقفا في الماء الضحل ينتظر السمك " * 20,
        "河边站着一只苍鹭它在等小鱼" * 20,
        "Цапля стояла на мелководье и ждала маленькую рыбку " * 20,
    ],
)
def test_languages_code_and_tables_are_not_taken_for_scrambled(text):
    assert not is_scrambled(text)


def test_a_password_to_open_is_refused_and_one_to_edit_is_not():
    assert refusal(pdf(lines(50, 700, LEFT), user_password="secret"))[0] == "encrypted"
    assert text(lines(50, 700, LEFT), owner_password="secret") == PARAGRAPH


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"just text", bytes(range(256)) * 40])
def test_what_is_no_pdf_is_unreadable(content):
    assert refusal(content)[0] == "unreadable"


def test_ten_thousand_blank_pages_are_empty():
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    file = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 10000"
    file += b"/Kids[" + page * 10_000 + b"]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    assert refusal(file)[0] == "empty"


def test_a_count_of_pages_that_are_not_there_is_given_up():
    content = pdf(lines(50, 700, LEFT)).replace(b"/Count 1/", b"/Count 999999/")
    extracted = read(content)
    assert extracted.text == PARAGRAPH
    assert "pages that are damaged" in extracted.warning


@pytest.mark.parametrize(
    "box", ["[0 0 1e30 1e30]", "[-9e99 -9e99 9e99 9e99]", "[1 2]", "[0 0 0 0]"]
)
def test_absurd_page_boxes_do_no_harm(box):
    content = pdf(lines(50, 700, LEFT)).replace(b"[0 0 600 800]", box.encode())
    try:
        assert read(content).text in PARAGRAPH
    except Refused as refused:
        assert refused.code in ("empty", "unreadable")


def test_pages_that_nest_within_themselves_come_to_an_end():
    content = pdf(lines(50, 700, LEFT)).replace(b"/Kids[14 0 R]", b"/Kids[02 0 R]")
    assert refusal(content)[0] in ("empty", "unreadable")


SOUND = pdf(
    line(50, 760, "Birds", 20) + lines(50, 700, LEFT) + table(50, 600, TABLE) + stroke(0, 0, 9, 0),
    lines(50, 700, ["河边站着一只苍鹭", "مرحبا"[::-1]], font=MAPPED) + PICTURE,
    title="On Herons",
    xmp=XMP.format(RIGHTS),
)


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, len(SOUND)))
def test_a_damaged_file_is_read_or_refused(seed, n_flipped, end):
    random = Random(seed)
    content = bytearray(SOUND[: end if random.random() < 0.3 else len(SOUND)])
    for _ in range(n_flipped if content else 0):
        content[random.randrange(len(content))] = random.randrange(256)
    try:
        extracted = read(bytes(content))
    except Refused as refused:
        assert refused.code in ("unreadable", "empty", "encrypted")
    else:
        assert extracted.text.encode()
        assert all(0 <= start < len(extracted.text) for start, _ in extracted.headings)


@given(st.lists(st.sampled_from([*LEFT, *RIGHT, "Birds.", "1. One", "12"]), min_size=1, max_size=9))
def test_no_word_is_lost_and_none_is_added(chosen):
    assert text(lines(50, 700, chosen, font=MONO, size=8)).split() == " ".join(chosen).split()
