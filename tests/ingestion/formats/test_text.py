"""Text comes out with the right characters, or says what could not be kept."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.text import decode, read_markdown, read_plain

LANGUAGES = {
    "cp1252": "Le curé a noté l'arrivée du préfet à l'école, où déjà la fête était prête. ",
    "iso8859-1": "Der Müller fährt über die Brücke und grüßt höflich die Bäuerin. ",
    "cp1250": "Źródło rzeki leży wśród wzgórz, skąd płynie ku łąkom i młynom. ",
    "iso8859-2": "Příliš mnoho vody teče přes jez, řekl mlynář a zavřel stavidlo. ",
    "cp1251": "Мельник открыл шлюз, и вода пошла на поля за деревней. ",
    "koi8-r": "Мельник открыл шлюз, и вода пошла на поля за деревней. ",
    "cp1253": "Ο μυλωνάς άνοιξε το φράγμα και το νερό έτρεξε στα χωράφια. ",
    "cp1254": "Değirmenci kapağı açtı ve su köyün arkasındaki tarlalara aktı. ",
    "cp1255": "הטוחן פתח את השער והמים זרמו אל השדות שמאחורי הכפר. ",
    "cp1256": "فتح الطحان البوابة وجرى الماء إلى الحقول وراء القرية. ",
    "gb18030": "磨坊主打开了水闸，河水流进村子后面的田地。",
    "big5": "磨坊主人打開了水閘，河水流進村子後面的田地。",
    "shift_jis": "水車小屋の主人が水門を開けると、水は村の裏の畑へ流れていった。",
    "euc-jp": "水車小屋の主人が水門を開けると、水は村の裏の畑へ流れていった。",
    "euc-kr": "방앗간 주인이 수문을 열자 물이 마을 뒤의 밭으로 흘러갔다. ",
}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1))
def test_valid_utf8_comes_out_as_it_is(text):
    # Control characters apart, which make a file binary, and marks that only say what it is.
    if not any(char < " " or char == "\x7f" for char in text) and not text.startswith("\ufeff"):
        assert decode(text.encode())[0] == text


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"]
)
def test_a_byte_order_mark_names_the_encoding_and_is_removed(encoding):
    text = "Der Fluß – ein Wehr.\n"
    mark = "" if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff"
    assert decode((mark + text).encode(encoding)) == (text, None)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_zeros(encoding):
    text = "The miller opened the sluice.\n" * 3
    assert decode(text.encode(encoding)) == (text, None)


@pytest.mark.parametrize("encoding", LANGUAGES)
@pytest.mark.parametrize("times", [1, 1000])
def test_other_encodings_are_told_by_their_bytes(encoding, times):
    text = LANGUAGES[encoding] * times
    found, warning = decode(text.encode(encoding))
    assert found == text
    assert "is not UTF-8 and was read as" in warning


def test_a_single_accent_in_a_long_english_text_is_kept():
    text = (
        "The miller opened the sluice. " * 100 + "Then he went to the café. " + "So it was. " * 99
    )
    assert decode(text.encode("cp1252"))[0] == text


def test_a_few_broken_bytes_in_utf8_are_replaced_and_counted():
    content = "Über die Brücke führt kein Weg für Wagen. ".encode() * 5 + b"\xff\xfe" + b" end"
    text, warning = decode(content)
    assert text.startswith("Über die Brücke")
    assert text.endswith("\ufffd\ufffd end")
    assert "2 bytes" in warning


def test_utf8_that_is_cut_off_inside_a_character_keeps_all_before_it():
    text, warning = decode("Kosten: 40 €".encode()[:-1])
    assert text == "Kosten: 40 \ufffd"
    assert "2 bytes" in warning


def test_nuls_are_removed_with_a_warning():
    assert decode(b"one\0two, and three") == (
        "onetwo, and three",
        "held 1 NUL characters, which were removed",
    )


def test_every_line_end_becomes_a_line_feed():
    assert decode(b"a\r\nb\rc\nd")[0] == "a\nb\nc\nd"


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\6\0\0\0",
        bytes(range(256)) * 8,
        b"\0\0\0\x01" * 300,
    ],
)
def test_binary_content_is_no_text(content):
    with pytest.raises(Refused) as refused:
        read_plain(content)
    assert refused.value.code == "unreadable"


@given(st.binary(max_size=400))
def test_nothing_but_a_refusal_comes_of_any_bytes(content):
    for read in (read_plain, read_markdown):
        try:
            read(content)
        except Refused as refused:
            assert refused.code in ("unreadable", "empty")


def test_text_that_was_decoded_wrongly_once_is_left_with_a_warning():
    broken = "Größe über Höhe, Maß für Maß".encode().decode("latin-1")
    text, warning = decode(broken.encode())
    assert text == broken
    assert "Latin-1" in warning
    assert decode("São Paulo, Ärger, Übermut".encode())[1] is None


@pytest.mark.parametrize("content", [b"", b" \n\t", "\ufeff".encode(), b"\0"])
def test_a_file_without_a_visible_character_is_empty(content):
    for read in (read_plain, read_markdown):
        with pytest.raises(Refused):
            read(content)


def test_plain_text_has_no_title_and_no_headings():
    found = read_plain(b"# not a heading\n\nText.")
    assert (found.title, found.headings, found.text) == (None, (), "# not a heading\n\nText.")


def headings(markdown):
    found = read_markdown(markdown.encode())
    return [(found.text[start:].split("\n", 1)[0], level) for start, level in found.headings]


def test_headings_of_markdown_are_found_in_both_notations():
    text = "# One\n\ntext\n\nTwo\n===\n\nThree\n---\n\n#### Four ####\n   ## Five\n"
    assert headings(text) == [
        ("# One", 1),
        ("Two", 1),
        ("Three", 2),
        ("#### Four ####", 4),
        ("   ## Five", 2),
    ]


def test_a_heading_over_two_lines_begins_at_the_first():
    assert headings("Über\nFlüsse\n===\n") == [("Über", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\n# comment\n```\n",
        "~~~\n# comment\n```\n# still\n~~~\n",
        "````\n```\n# comment\n````\n",
        "    # code\n",
        "#hashtag\n",
        "####### seven\n",
        "text\n\n---\n\nmore\n",
        "- item\n---\n",
        "> quoted\n---\n",
        "| a | b |\n|---|---|\n",
        "- item\n  goes on\n---\n",
    ],
)
def test_what_only_looks_like_a_heading_is_none(text):
    assert headings(text) == []


def test_a_fence_that_is_never_closed_reaches_to_the_end():
    assert headings("# One\n```\n# not\n") == [("# One", 1)]


def test_the_title_is_the_first_heading_without_its_markup():
    assert read_markdown(b"## `Cell<T>` and [**the** book](a.md) {#id}\n").title == (
        "Cell<T> and the book"
    )


@pytest.mark.parametrize("filling", [" ", "#", "[", "*_", "` ", "\t"])
def test_a_heading_of_any_length_is_read(filling):
    long = "# The weir " + filling * 100_000 + "x"
    assert headings(long) == [(long, 1)]


@pytest.mark.parametrize(
    ("line", "title"),
    [("# A ##  ", "A"), ("# A#", "A#"), ("# C# #", "C#"), ("## A", "A")],
)
def test_only_signs_set_off_by_a_space_close_a_heading(line, title):
    assert read_markdown(line.encode()).title == title


def test_front_matter_gives_title_and_licence_and_no_heading():
    found = read_markdown(b"---\ntitle: The 'Weir'\nlicense: CC-BY-4.0\n---\n# Heading\n")
    assert (found.title, found.license) == ("The 'Weir'", "CC-BY-4.0")
    assert found.text.startswith("---\ntitle")
    assert [found.text[start:] for start, _ in found.headings] == ["# Heading\n"]


@pytest.mark.parametrize("front", ["a: [", "- 1", "when: 2020-99-99", "[" * 5000, "title: 7"])
def test_front_matter_that_is_no_yaml_mapping_is_text(front):
    assert read_markdown(f"---\n{front}\n---\n# Heading\n".encode()).title == "Heading"
