"""A Word file reads as it is shown with all its revisions accepted."""

import io
import zipfile

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.ingestion.formats.docx import read
from bonito_assets.ingestion.formats.extracted import Refused

TRANSITIONAL = "http://schemas.openxmlformats.org"
STRICT = "http://purl.oclc.org/ooxml"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def word(body, strict=False, zipped=None, **parts):
    """Gives a Word file with that body, and parts such as ``numbering`` by their content."""
    base = STRICT if strict else TRANSITIONAL
    relations = f"{base}/officeDocument/{'' if strict else '2006/'}relationships"
    main = f"{base}/wordprocessingml/{'' if strict else '2006/'}main"
    core = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"

    def links(entries):
        tags = "".join(
            f'<Relationship Id="r{n}" Type="{kind}" Target="{target}"/>'
            for n, (kind, target) in enumerate(entries)
        )
        space = f"{TRANSITIONAL}/package/2006/relationships"
        return f'<Relationships xmlns="{space}">{tags}</Relationships>'

    def wrapped(name, content):
        return f'<w:{name} xmlns:w="{main}" xmlns:mc="{MC}">{content}</w:{name}>'

    root = [(f"{relations}/officeDocument", "word/document.xml"), (core, "docProps/core.xml")]
    own = [(f"{relations}/{name}", f"{name}.xml") for name in parts if name != "core"]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", links(root))
        archive.writestr("word/_rels/document.xml.rels", links(own))
        archive.writestr("word/document.xml", wrapped("document", f"<w:body>{body}</w:body>"))
        for name, content in parts.items():
            if name == "core":
                archive.writestr("docProps/core.xml", content)
            else:
                archive.writestr(f"word/{name}.xml", wrapped(name, content))
        for name, content in (zipped or {}).items():
            archive.writestr(name, content)
    return file.getvalue()


def p(words, said=""):
    runs = words if words.startswith("<") else f"<w:r><w:t>{words}</w:t></w:r>"
    return f"<w:p><w:pPr>{said}</w:pPr>{runs}</w:p>"


def t(words):
    return f"<w:r><w:t xml:space='preserve'>{words}</w:t></w:r>"


def styled(name):
    return f'<w:pStyle w:val="{name}"/>'


def numbered(number, level=0):
    return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'


def level(at, kind, text, start=1):
    return (
        f'<w:lvl w:ilvl="{at}"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/>'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def lists(*definitions, extra=""):
    made = "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{levels}</w:abstractNum>'
        for n, levels in enumerate(definitions, start=1)
    )
    named = "".join(
        f'<w:num w:numId="{n}"><w:abstractNumId w:val="{n}"/></w:num>'
        for n in range(1, len(definitions) + 1)
    )
    return made + named + extra


def style(name, shown, said="", based_on=None, default=False):
    based = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    first = ' w:default="1"' if default else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{name}"{first}><w:name w:val="{shown}"/>{based}'
        f"<w:pPr>{said}</w:pPr></w:style>"
    )


def headings(found):
    return [(found.text[start:].split("\n")[0], level) for start, level in found.headings]


def test_a_file_of_another_program_is_read():
    made = docx.Document()
    made.add_heading("The mill", 0)
    made.add_heading("Weir", 2)
    made.add_paragraph("A low dam.")
    made.add_paragraph("fish", style="List Bullet")
    made.add_paragraph("nests", style="List Bullet")
    table = made.add_table(2, 3)
    for number, cell in enumerate(table._cells):
        cell.text = f"c{number}"
    table.cell(0, 1).merge(table.cell(0, 2)).text = "wide"
    made.core_properties.title = "A title"
    file = io.BytesIO()
    made.save(file)
    found = read(file.getvalue())
    assert found.title == "A title"
    assert headings(found) == [("The mill", 1), ("Weir", 2)]
    assert found.text == (
        "The mill\n\nWeir\n\nA low dam.\n\n- fish\n- nests\n\nc0 | wide\nc3 | c4 | c5"
    )


def test_the_strict_variant_reads_the_same():
    body = p("The mill", styled("h")) + p("A river.")
    styles = style("h", "heading 1")
    strict, other = (read(word(body, strict, styles=styles)) for strict in (True, False))
    assert strict == other
    assert headings(strict) == [("The mill", 1)]


def test_headings_are_known_in_every_language_and_through_inheritance():
    styles = (
        style("berschrift2", "heading 2")
        + style("Klausel", "Klausel", based_on="berschrift2")
        + style("Absatz", "Absatz", said='<w:outlineLvl w:val="2"/>')
        + style("Fliess", "Fliess", said='<w:outlineLvl w:val="9"/>', based_on="berschrift2")
        + style("Kreis", "Kreis", based_on="Kreis")
    )
    body = (
        p("one", styled("berschrift2"))
        + p("two", styled("Klausel"))
        + p("three", styled("Absatz"))
        + p("four", '<w:outlineLvl w:val="0"/>')
        + p("text", styled("Fliess"))
        + p("text", styled("Kreis"))
    )
    assert headings(read(word(body, styles=styles))) == [
        ("one", 2),
        ("two", 2),
        ("three", 3),
        ("four", 1),
    ]


def test_numbers_of_lists_are_those_that_are_shown():
    numbering = lists(
        level(0, "decimal", "%1.") + level(1, "lowerLetter", "(%2)") + level(2, "upperRoman", "%3)")
    )
    body = "".join(
        p(words, numbered(1, depth))
        for words, depth in [("a", 0), ("b", 1), ("c", 1), ("d", 2), ("e", 0), ("f", 1)]
    )
    assert read(word(body, numbering=numbering)).text == ("1. a\n(a) b\n(b) c\nI) d\n2. e\n(a) f")


def test_numbers_of_several_levels_carry_the_ones_above():
    numbering = lists(level(0, "decimal", "%1.") + level(1, "decimal", "%1.%2"))
    styles = style("h1", "heading 1", numbered(1)) + style("h2", "heading 2", numbered(1, 1))
    body = p("Weir", styled("h1")) + p("Nests", styled("h2")) + p("Fish", styled("h2"))
    found = read(word(body, numbering=numbering, styles=styles))
    assert headings(found) == [("1. Weir", 1), ("1.1 Nests", 2), ("1.2 Fish", 2)]


def test_a_list_goes_on_after_text_and_starts_anew_where_it_says_so():
    again = (
        '<w:num w:numId="7"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0">'
        '<w:startOverride w:val="1"/></w:lvlOverride></w:num>'
    )
    numbering = lists(level(0, "decimal", "%1."), extra=again)
    body = p("a", numbered(1)) + p("text") + p("b", numbered(1)) + p("c", numbered(7))
    assert read(word(body, numbering=numbering)).text == "1. a\n\ntext\n\n2. b\n\n1. c"


def test_bullets_are_dashes_and_list_zero_is_none():
    numbering = lists(level(0, "bullet", "\uf0b7"))
    styles = style("b", "b", numbered(1))
    body = p("a", styled("b")) + p("b", styled("b")) + p("c", styled("b") + numbered(0))
    assert read(word(body, numbering=numbering, styles=styles)).text == "- a\n- b\n\nc"


def test_a_level_that_its_list_does_not_define_has_no_marker():
    places = [("a", 1, 3), ("b", 1, 0), ("c", 9, 0), ("d", 1, 40)]
    body = "".join(p(words, numbered(number, depth)) for words, number, depth in places)
    found = read(word(body, numbering=lists(level(0, "decimal", "%1."))))
    assert found.text.split() == ["a", "1.", "b", "c", "d"]


def test_revisions_are_accepted():
    body = p(
        f"{t('kept ')}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        f"<w:ins>{t('new')}</w:ins><w:moveFrom>{t('from')}</w:moveFrom>"
        f"<w:moveTo>{t(' to')}</w:moveTo>"
    )
    assert read(word(body)).text == "kept new to"


def test_notes_stand_at_the_end_under_the_number_that_refers_to_them():
    mark = '<w:r><w:{}Reference w:id="{}"/></w:r>'
    body = p(t("One") + mark.format("endnote", 2) + t(" two") + mark.format("footnote", 2))
    separator = f'<w:footnote w:type="separator" w:id="0">{p("no")}</w:footnote>'
    found = read(
        word(
            body,
            footnotes=f'{separator}<w:footnote w:id="2">{p("foot")}</w:footnote>',
            endnotes=f'<w:endnote w:id="2">{p("end")}</w:endnote>',
        )
    )
    assert found.text == "One[1] two[2]\n\n[1] end\n\n[2] foot"


def test_a_text_box_is_shown_once_after_its_paragraph():
    box = f"<w:txbxContent>{p('boxed')}</w:txbxContent>"
    drawing = (
        f"<w:r><mc:AlternateContent><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    assert read(word(p(f"{t('before')}{drawing}{t(' after')}"))).text == "before after\n\nboxed"


def test_what_is_not_shown_in_the_text_is_left_out():
    contents = (
        '<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/>'
        f"</w:docPartObj></w:sdtPr><w:sdtContent>{p('Mill 1')}</w:sdtContent></w:sdt>"
    )
    field = "<w:r><w:fldChar/><w:instrText> PAGEREF </w:instrText></w:r>"
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
    shown = "<w:r><w:rPr><w:vanish w:val='0'/></w:rPr><w:t>shown</w:t></w:r>"
    comment = "<w:r><w:commentReference w:id='1'/></w:r>"
    body = contents + p("Mill 1", styled("v")) + p(field + hidden + shown + comment)
    found = read(word(body, styles=style("v", "toc 1"), comments=p("comment"), header=p("head")))
    assert found.text == "shown"


def test_links_breaks_hyphens_and_symbols_read_as_they_show():
    body = p(
        f"<w:hyperlink>{t('a link')}</w:hyperlink><w:r><w:br/><w:t>next</w:t><w:noBreakHyphen/>"
        "<w:t>line</w:t><w:tab/><w:t>tab</w:t><w:sym w:char='2603'/><w:sym w:char='F0FC'/></w:r>"
    )
    assert read(word(body)).text == "a link\nnext-line\ttab☃"


def test_cells_that_are_merged_downwards_are_shown_once_and_keep_their_column():
    def row(*cells):
        made = "".join(f"<w:tc><w:tcPr>{said}</w:tcPr>{p(words)}</w:tc>" for words, said in cells)
        return f"<w:tr>{made}</w:tr>"

    body = (
        "<w:tbl>"
        + row(("a", "<w:vMerge w:val='restart'/>"), ("b", ""))
        + row(("stale", "<w:vMerge/>"), ("c", ""))
        + row(("d", "<w:gridSpan w:val='2'/>"))
        + "</w:tbl>"
    )
    assert read(word(body)).text == "a | b\n| c\nd"


def test_a_frame_of_one_cell_is_no_table():
    body = f"<w:tbl><w:tr><w:tc>{p('one')}{p('two')}</w:tc></w:tr></w:tbl>"
    assert read(word(body)).text == "one\n\ntwo"


def test_title_and_licence_are_those_of_the_properties():
    core = (
        '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title> The  weir </dc:title>'
        "<dc:rights>CC0-1.0</dc:rights></c>"
    )
    found = read(word(p("Text"), core=core))
    assert (found.title, found.license) == ("The weir", "CC0-1.0")


def test_without_properties_the_title_style_gives_the_title():
    body = p("Chapter", styled("h")) + p("The weir", styled("ti"))
    styles = style("h", "heading 1") + style("ti", "Title")
    assert read(word(body, styles=styles)).title == "The weir"


def test_embedded_documents_are_warned_of():
    assert "1 embedded" in read(word(p("Text") + "<w:altChunk/>")).warning


OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def refused(content):
    with pytest.raises(Refused) as refusal:
        read(content)
    return refusal.value.code


def test_a_file_with_a_password_and_an_old_file_are_told_apart():
    assert refused(OLE + bytes(512) + "EncryptedPackage".encode("utf-16-le")) == "encrypted"
    assert refused(OLE + bytes(512) + "WordDocument".encode("utf-16-le")) == "unsupported_format"


def test_damaged_files_are_unreadable():
    whole = word(p("Text"))
    assert refused(whole[: len(whole) // 2]) == "unreadable"
    assert refused(b"") == "unreadable"
    assert refused(word("<unclosed>")) == "unreadable"
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "text")
    assert refused(other.getvalue()) == "unreadable"


def test_a_file_without_text_is_empty():
    assert refused(word(p(" "))) == "empty"


def test_what_would_swell_is_not_unpacked():
    assert refused(word(p("Text"), zipped={"word/media/a": bytes(2**21)})) == "unsafe_archive"
    # Repetition over a short stretch is no bomb.
    assert read(word(p("Text"), zipped={"word/media/a": bytes(2**19)})).text == "Text"


def test_entities_are_neither_fetched_nor_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    whole = word(p("Text"))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name == "word/document.xml":
                entities = f'<!ENTITY a "bomb"><!ENTITY f SYSTEM "{secret.as_uri()}">'
                content = f"<!DOCTYPE w [{entities}]>{content}".replace("Text", "Text&a;&f;")
            new.writestr(name, content)
    assert read(file.getvalue()).text == "Text"


def test_tables_in_tables_without_end_are_refused():
    depth = 5_000
    body = "<w:tbl><w:tr><w:tc>" * depth + p("x") + "</w:tc></w:tr></w:tbl>" * depth
    assert refused(word(body)) == "unreadable"


@given(st.data())
def test_nothing_but_a_refusal_comes_of_a_damaged_file(data):
    whole = bytearray(word(p("Text"), styles=style("a", "a"), numbering=lists(level(0, "a", "%1"))))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except Refused as refusal:
        assert refusal.code in ("unreadable", "encrypted", "empty", "unsafe_archive")
