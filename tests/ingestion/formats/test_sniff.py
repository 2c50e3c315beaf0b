"""What a file is shows in its bytes; its name decides only what they leave open."""

import io
import struct
import tarfile
import zipfile

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet
import pytest
from docx import Document
from hypothesis import given
from pptx import Presentation

from bonito_assets.ingestion.formats.sniff import DOCX, EPUB, PPTX, media_type, refusal

TEXT = b"The miller opened the sluice.\n"


def zipped(*names, mimetype=None):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, "x" * 20)
    return file.getvalue()


def office(made):
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.txt", "text/plain"),
        ("A.TXT", "text/plain"),
        ("README", "text/plain"),
        ("notes.2024", "text/plain"),
        ("a.md", "text/markdown"),
        ("a.Markdown", "text/markdown"),
        ("a.html", "text/html"),
        ("a.xhtml", "text/html"),
        ("a.jsonl", "application/jsonl"),
        ("a.ndjson", "application/jsonl"),
        ("a.json", "application/json"),
        ("a.csv", "text/csv"),
        ("a.tsv", "text/tab-separated-values"),
        ("a.pdf", "text/plain"),
        ("a.docx", "text/plain"),
    ],
)
def test_of_text_the_name_says_what_kind_it_is(name, found):
    assert media_type(name, TEXT) == found
    assert media_type(name, "Größe\n".encode("cp1252")) == found
    assert media_type(name, "Größe und Maß\n".encode("utf-16")) == found


def test_an_empty_file_is_what_its_name_says():
    assert media_type("a.md", b"") == "text/markdown"
    assert media_type("a", b"") == "text/plain"


@pytest.mark.parametrize("name", ["a.pdf", "a.txt", "a", "a.docx"])
def test_a_pdf_is_one_under_any_name(name):
    assert media_type(name, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n") == "application/pdf"


def test_text_that_speaks_of_pdf_is_text():
    assert media_type("a.txt", b"Files begin with %PDF-1.4 or so.") == "text/plain"
    assert media_type("a.pdf", b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4") == "application/pdf"


@pytest.mark.parametrize(
    "start",
    [
        "<!DOCTYPE html>",
        "\n <!-- made by hand --> <HTML lang='de'>",
        "<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x'>",
        "<?xml version='1.0'?><html xmlns='x'>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_page_is_one_under_any_name(start, encoding):
    assert media_type("a.txt", start.encode(encoding)) == "text/html"


@pytest.mark.parametrize("filling", ["<!-- -->", "<?xml ?>", " ", "<!--"])
def test_any_number_of_comments_may_stand_before_what_is_no_page(filling):
    assert media_type("a.txt", (filling * 4096)[:4000].encode() + b"text") != "text/html"


def test_text_with_tags_in_it_is_no_page():
    assert media_type("a.txt", b"Write <html> first.") == "text/plain"
    assert media_type("a.md", b"<p>A paragraph</p>") == "text/markdown"
    assert media_type("a.txt", b"<htmlish>") == "text/plain"


def test_office_files_and_books_are_told_by_their_members():
    assert media_type("a.docx", office(Document())[:4096]) == DOCX
    assert media_type("a.pptx", office(Presentation())[:4096]) == PPTX
    assert media_type("a.zip", zipped("[Content_Types].xml", "word/document.xml")) == DOCX
    assert media_type("a.docx", zipped("[Content_Types].xml", "ppt/presentation.xml")) == PPTX
    assert media_type("a.zip", zipped("OEBPS/a", mimetype="application/epub+zip")) == EPUB


def test_where_the_members_lie_further_back_the_name_decides():
    head = zipped("[Content_Types].xml", "word/document.xml")[:60]
    assert media_type("a.docx", head) == DOCX
    assert media_type("a.pptx", head) == PPTX
    assert media_type("a.epub", zipped("OEBPS/a.opf")) == EPUB


def test_an_archive_that_begins_with_an_office_file_is_an_archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.docx", zipped("[Content_Types].xml", "word/document.xml"))
    assert media_type("all.zip", file.getvalue()[:4096]) == "application/zip"
    assert media_type("empty.zip", zipped()) == "application/zip"


def test_tables_and_archives_are_told_by_their_first_bytes():
    table = pa.table({"a": [1]})
    parquet, arrow, tar = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pyarrow.parquet.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    assert media_type("a", parquet.getvalue()) == "application/vnd.apache.parquet"
    assert media_type("a", arrow.getvalue()) == "application/vnd.apache.arrow.file"
    assert media_type("a", tar.getvalue()[:4096]) == "application/x-tar"
    assert media_type("a.txt", b"\x1f\x8b\x08\0") == "application/gzip"
    assert media_type("a.txt", b"\x28\xb5\x2f\xfd\0") == "application/zstd"


OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 500


def test_an_ole_file_goes_to_the_reader_of_its_name_who_can_tell_whether_it_is_encrypted():
    assert media_type("a.docx", OLE) == DOCX
    assert media_type("a.pptx", OLE) == PPTX
    assert media_type("a.doc", OLE) is None
    assert refusal("a.doc", OLE) == "is an old Office file; save it as .docx, .pptx or PDF"


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a PNG picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture"),
        (b"GIF89a\x01\0\x01\0\x80\0\0", "is a GIF picture"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 9, "is a program"),
        (b"SQLite format 3\0\x10\0\x01\x01", "is an SQLite database"),
        (struct.pack(">I", 24) + b"ftypisom\0\0\x02\0", "is a video or a sound recording (MP4)"),
        (b"ID3\x03\0\0\0\0\0\x0fTIT2\0\0\0\x05\0\0\0", "is a sound recording (MP3)"),
        (b"{\\rtf1\\ansi Hello}", "is an RTF file; save it as .docx"),
        (b"<?xml version='1.0'?><rss/>", "is an XML file of a kind that is not known"),
        (bytes(range(1, 9)) * 50, "is a binary file of an unknown kind, whatever .txt says"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook"),
        (zipped("a", mimetype="application/vnd.oasis.opendocument.text"), "is an OpenDocument"),
    ],
)
def test_what_cannot_be_read_is_named(head, sentence):
    assert media_type("a.txt", head) is None
    assert refusal("a.txt", head).startswith(sentence)


@pytest.mark.parametrize("start", ["BM is a town.", "MZ and ID3", "GIF8 was a format", "OTTO!"])
def test_prose_that_begins_like_a_binary_file_is_text(start):
    assert media_type("a.txt", start.encode()) == "text/plain"


@given(st.text(max_size=20), st.binary(max_size=200))
def test_any_bytes_under_any_name_are_told_or_named(name, head):
    assert media_type(name, head) or refusal(name, head).startswith("is ")


@given(st.text("abcdefgh ÄÖÜéñ水\n", max_size=200))
def test_text_without_a_telling_name_is_plain_text(text):
    assert media_type("file", text.encode()) == "text/plain"
