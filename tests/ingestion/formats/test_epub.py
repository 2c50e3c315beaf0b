"""A book reads from its first page to its last, in the order of its spine."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.ingestion.formats.epub import read
from bonito_assets.ingestion.formats.extracted import Refused

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


def page(body):
    return (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml" '
        'xmlns:epub="http://www.idpf.org/2007/ops"><head><title/></head>'
        f"<body>{body}</body></html>"
    )


def book(pages, spine=None, metadata="", guide="", nav="", **others):
    """Gives a book with `pages` by file name, read in the order of `spine`."""
    items = "".join(
        f'<item id="i{n}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml" '
        f'properties="{"nav" if name == nav else "none"}"/>'
        for n, name in enumerate(pages)
    )
    order = [list(pages).index(name) for name in (spine or pages) if name in pages]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr(
            "OPS/book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><metadata {DC}>{metadata}</metadata>'
            f"<manifest>{items}</manifest><spine>"
            + "".join(f'<itemref idref="i{n}"/>' for n in order)
            + f"</spine><guide>{guide}</guide></package>",
        )
        for name, body in pages.items():
            if body is not None:
                archive.writestr(f"OPS/{name}", page(body))
        for name, content in others.items():
            archive.writestr(f"META-INF/{name}.xml", content)
    return file.getvalue()


def encrypted(path, method):
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
        f'<e:EncryptionMethod Algorithm="{method}"/><e:CipherData>'
        f'<e:CipherReference URI="{path}"/></e:CipherData></e:EncryptedData></encryption>'
    )


def refused(content):
    with pytest.raises(Refused) as refusal:
        read(content)
    return refusal.value.code


def test_pages_come_in_the_order_of_the_spine_with_their_headings():
    made = {"b c.xhtml": "<h2>Two</h2><p>fish</p>", "a.xhtml": "<h1>One</h1><p>nests</p>"}
    found = read(book(made, spine=["a.xhtml", "b c.xhtml"]))
    assert found.text == "One\n\nnests\n\nTwo\n\nfish"
    assert found.headings == ((0, 1), (found.text.index("Two"), 2))


@given(st.permutations(["a", "b", "c", "d"]))
def test_any_order_of_the_spine_is_followed(order):
    made = {name: f"<p>{name}</p>" for name in "abcd"}
    assert read(book(made, spine=order)).text.split() == order


def test_lists_of_pages_are_left_out():
    links = "<nav><ol><li><a href='a.xhtml'>One</a></li></ol></nav>"
    made = {"nav.xhtml": links, "toc.xhtml": "<p>One 1</p>", "a.xhtml": "<p>nests</p>"}
    guide = '<reference type="toc" href="toc.xhtml#top"/>'
    assert read(book(made, nav="nav.xhtml", guide=guide)).text == "nests"


def test_a_page_of_a_book_is_kept_whole():
    body = "<header><p>Motto</p></header><p>nests</p><aside><p>A note.</p></aside>"
    assert read(book({"a": body})).text == "Motto\n\nnests\n\nA note."


def test_the_mark_of_a_note_does_not_run_into_its_word():
    body = '<p>The mill<a epub:type="noteref" href="#n">1</a> stood.</p>'
    assert read(book({"a": body})).text == "The mill[1] stood."


def test_title_and_licence_are_those_of_the_package():
    said = "<dc:title>The  Weir</dc:title><dc:title>A subtitle</dc:title><dc:rights>CC0</dc:rights>"
    found = read(book({"a": "<h1>One</h1>"}, metadata=said))
    assert (found.title, found.license) == ("The Weir", "CC0")
    assert read(book({"a": "<h1>One</h1>"})).title == "One"


def test_a_protected_book_is_encrypted_and_scrambled_fonts_are_not():
    pages = {"a b": "<p>nests</p>"}
    cipher = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
    fonts = "http://www.idpf.org/2008/embedding"
    assert refused(book(pages, encryption=encrypted("OPS/a%20b", cipher))) == "encrypted"
    assert read(book(pages, encryption=encrypted("OPS/f.otf", fonts))).text == "nests"
    assert read(book(pages, encryption=encrypted("OPS/f.otf", cipher))).text == "nests"


def test_a_missing_page_is_warned_of():
    found = read(book({"a": "<p>nests</p>", "b": None}))
    assert (found.text, found.warning) == ("nests", "lacks 1 of its pages")


def test_books_that_cannot_be_read_say_why():
    whole = book({"a": "<p>nests</p>"})
    assert refused(whole[: len(whole) // 2]) == "unreadable"
    assert refused(book({"a": "<p> </p>"})) == "empty"
    assert refused(book({"a": f"<p>{' ' * 2**21}</p>"})) == "unsafe_archive"
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "text")
    assert refused(other.getvalue()) == "unreadable"


@given(st.data())
def test_nothing_but_a_refusal_comes_of_a_damaged_book(data):
    whole = bytearray(book({"a": "<h1>One</h1><p>nests</p>", "b": "<p>fish</p>"}))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except Refused as refusal:
        assert refusal.code in ("unreadable", "encrypted", "empty", "unsafe_archive")
