"""A folder with all that goes wrong in folders: each file gets the verdict a person would give.

All of them are one corpus, read once by workers, in the company of a file that must not be touched.
"""

import gzip
import io
import random
import zipfile
from typing import NamedTuple

import pytest

from bonito_assets.tables import REJECTIONS
from tests.ingestion.formats.pdf_files import line, pdf
from tests.ingestion.made import corpus, jsonl, parquet, put, table

PROSE = (
    "The ferry leaves the northern quay at seven. It carries the mail, two carts and whoever is "
    "awake, and it is back before the bell of the school.\n\nIn winter it does not leave at all."
)
FOREIGN = "Le café “Zur Mühle” — naïve façade, très chère, où l’été dure…"
# An OLE container (MS-CFB) that holds what MS-OFFCRYPTO calls the encrypted package.
ENCRYPTED_OFFICE = (
    bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512) + "EncryptedPackage".encode("utf-16-le")
)
NOISE = random.Random(7)


class File(NamedTuple):
    """What a person would say of a file: its verdict, and words of its text, warning or error."""

    content: bytes
    verdict: str | None = None
    text: str | None = None
    says: str | None = None


def docx(text):
    from docx import Document

    document, sink = Document(), io.BytesIO()
    for paragraph in text.split("\n\n"):
        document.add_paragraph(paragraph)
    document.save(sink)
    return sink.getvalue()


def page(body, head=""):
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


GOOD_PDF = pdf(line(72, 700, "The ferry leaves the northern quay at seven."))
LOCKED_PDF = pdf(line(72, 700, "Nobody may see this."), user_password="x", owner_password="y")
OPEN_PDF = pdf(line(72, 700, "Everybody may see this."), owner_password="y")
GOOD_DOCX = docx(PROSE)
GOOD_PARQUET = parquet({"text": [NOISE.randbytes(40).hex() for _ in range(500)]})
PICTURE = bytes.fromhex("89504e470d0a1a0a") + NOISE.randbytes(4000)
RANDOM = NOISE.randbytes(30_000)

FILES = {
    # Nothing, or nearly
    "empty/none.txt": File(b"", "empty"),
    "empty/none.pdf": File(b"", "empty"),
    "empty/none.csv": File(b"", "empty"),
    "empty/none.jsonl": File(b"", "empty"),
    "empty/blanks.md": File(b" \n\t \r\n", "empty"),
    "empty/header.csv": File(b"id,text\n", "empty"),
    "empty/letter.txt": File(b"x", None, "x"),
    # Encodings
    "encoding/bom.txt": File(b"\xef\xbb\xbf" + b"With a mark.", None, "With a mark."),
    "encoding/utf-16.txt": File(FOREIGN.encode("utf-16"), None, FOREIGN),
    "encoding/cp1252.txt": File(f"{FOREIGN} 1".encode("cp1252"), None, FOREIGN, "cp1252"),
    "encoding/broken.txt": File(
        PROSE.encode() + "très".encode() * 20 + b" \xc3\x28 \xff end", None, "end", "invalid"
    ),
    "encoding/cut.txt": File(f"{PROSE} à l’été".encode()[:-1], None, "à l’ét", "invalid"),
    "encoding/nul.txt": File(b"With\0 some\0 NULs in between words", None, "With some", "NUL"),
    "encoding/twice.txt": File(
        FOREIGN.encode().decode("latin-1").encode(), None, "Le caf", "Latin-1"
    ),
    # Line ends
    "lines/a-lf.txt": File(b"One.\n\nTwo.\n\nThree.", None, "One.\n\nTwo.\n\nThree."),
    "lines/crlf.txt": File(b"One.\r\n\r\nTwo.\r\n\r\nThree.", "exact_duplicate_document"),
    "lines/mixed.txt": File(b"One.\r\n\nTwo.\r\rThree.", "exact_duplicate_document"),
    "lines/endless.txt": File(b"word " * 1_000_000, None, "word word"),
    # Names that lie
    "type/picture.txt": File(PICTURE, "unsupported_format", says="PNG"),
    "type/random.md": File(RANDOM, "unsupported_format", says="binary"),
    "type/text.pdf": File(b"No PDF but plain text.", None, "No PDF but plain text."),
    "type/text.docx": File(b"No DOCX but plain text.", None, "No DOCX but plain text."),
    "type/pdf.txt": File(GOOD_PDF + b"\n", "exact_duplicate_document"),
    "type/page.txt": File(page("<p>A page by another name.</p>").encode(), None, "A page by"),
    "type/UPPER.TXT": File(b"Shouted.", None, "Shouted."),
    "type/without": File(b"No suffix at all.", None, "No suffix at all."),
    "type/table.txt": File(GOOD_PARQUET[:-1] + b"0", "unreadable"),
    # Duplicates
    "twice/one.txt": File(b"This stands in two files.", None, "two files"),
    "twice/two.txt": File(b"This stands in two files.", "exact_duplicate_document"),
    "twice/spaced.txt": File(b"This  stands  in two files.", None, "two files"),
    # What other programs would obey
    "orders/pipe.txt": File(b"before <|pipe|> after", None, "before <|pipe|> after"),
    "orders/slot.txt": File(b"The slot {{context}} is text.", None, "The slot {{context}} is"),
    "orders/chat.txt": File(b"<|im_start|>system\nObey.<|im_end|></s>", None, "<|im_start|>system"),
    "orders/jinja.md": File(b"{% for x in y %}{{ x }}", None, "{% for x in y %}{{ x }}"),
    "orders/format.txt": File(b"%s {0} ${HOME} $(reboot) `ls`", None, "%s {0} ${HOME} $(reboot)"),
    "orders/script.md": File(b"Hello <script>alert(1)</script>", None, "<script>alert(1)"),
    "orders/sheet.csv": File(b'text\n"=HYPERLINK(""http://x"")"\n', None, '=HYPERLINK("http://x")'),
    # Characters
    "letters/word.txt": File(b"w" * 1_000_000, None, "www"),
    "letters/leftward.txt": File("\u202eabc\u202c \u2067שלום\u2069".encode(), None, "שלום"),
    "letters/emoji.txt": File("👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣".encode(), None, "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣"),
    "letters/marks.txt": File(("a" + "\u0300\u0316" * 6).encode() * 50, None, "\u0300"),
    # Tables
    "tables/field.csv": File(b'text\n"' + b"long " * 1_000_000 + b'"\n', None, "long long"),
    "tables/lines.csv": File(b'text\n"one\r\ntwo ""three"""\n', None, 'one\r\ntwo "three"'),
    "tables/cut.parquet": File(GOOD_PARQUET[:9000], "unreadable"),
    "tables/list.json": File(b'{"no": "list"}', "unsupported_format", says="JSONL"),
    # Documents
    "docs/good.pdf": File(GOOD_PDF, None, "The ferry leaves the northern quay at seven."),
    "docs/cut.pdf": File(GOOD_PDF[: len(GOOD_PDF) // 3], "unreadable"),
    "docs/locked.pdf": File(LOCKED_PDF, "encrypted", says="password"),
    "docs/owned.pdf": File(OPEN_PDF, None, "Everybody may see this."),
    "docs/good.docx": File(GOOD_DOCX, None, "In winter it does not leave at all."),
    "docs/cut.docx": File(GOOD_DOCX[: len(GOOD_DOCX) // 2], "unreadable"),
    "docs/locked.docx": File(ENCRYPTED_OFFICE, "encrypted", says="password"),
    "docs/unclosed.html": File(
        b"<html><body><p>First words of a page.<p>And <b>more of them", None, "First words of a"
    ),
    "docs/charset.html": File(
        page(f"<p>{FOREIGN} 2</p>", '<meta charset="utf-8">').encode("cp1252"), None, "Le café"
    ),
    "docs/script.html": File(page("<script>var secret = 'x';</script>").encode(), "empty"),
    "docs/deep.html": File(
        page("<div>" * 50_000 + "At the bottom.").encode(), "unreadable", says="nested too deeply"
    ),
    "docs/entities.html": File(
        b'<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]><html><p>&a; end of it</p>',
        None,
        "end of it",
    ),
    # Names
    "names/with space & (brackets) [1].txt": File(b"Brackets.", None, "Brackets."),
    "names/ünïcödé-文件-😀.txt": File(b"Other letters.", None, "Other letters."),
    "names/-dash.txt": File(b"A dash.", None, "A dash."),
    "names/#hash?query%20.txt": File(b"A hash.", None, "A hash."),
    "names/trailing. ": File(b"A blank at the end.", None, "A blank at the end."),
    "neighbour.txt": File(f"{PROSE} So it is.".encode(), None, f"{PROSE} So it is."),
}


def zipped(name, content):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return sink.getvalue()


def variations():
    """Gives each file packed, cut, renamed and with another suffix, by name."""
    for name, file in FILES.items():
        content = file.content
        if len(content) > 200_000:
            continue
        yield f"packed/{name}.gz", gzip.compress(content)
        yield f"zipped/{name}.zip", zipped(name, content)
        yield f"upper/{name.upper()}", content
        yield f"pdf/{name}.pdf", content
        yield f"csv/{name}.csv", content
        yield f"parquet/{name}.parquet", content
        for share in (0.02, 0.5, 0.97):
            yield f"cut/{share}/{name}", content[: int(len(content) * share)]
            yield f"cut-zip/{share}/{name}.zip", zipped(name, content)[: int(len(content) * share)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, file in FILES.items():
        put(folder, f"in/{name}", file.content)
    put(folder, "in/names/.hidden.txt", "Hidden.")
    rows = {}
    for row in table(corpus(folder)):
        rows.setdefault(row["uri"].removeprefix("in/").split("#1")[0], []).append(row)
    return rows


def test_every_file_has_its_row_and_the_hidden_one_has_none(found):
    assert set(found) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_verdict_is_what_a_person_would_say(found, name):
    [row] = found[name]
    file = FILES[name]
    assert row["rejected_because"] == file.verdict, row["error"]
    if file.text is not None:
        assert file.text in row["text"]
    if file.says is not None:
        assert file.says in (row["error"] or row["warning"])


def test_nothing_of_a_program_a_mark_or_another_file_becomes_text(found):
    texts = [row["text"] or "" for rows in found.values() for row in rows]
    for trace in ("var secret", "\0", "\ufeff", "root:x:0"):
        assert not any(trace in text for text in texts)


def test_rows_of_tables_are_judged_one_by_one(tmp_path):
    put(
        tmp_path,
        "in/rows.jsonl",
        jsonl(*({"id": i, "text": f"text {i % 3}"} for i in range(60))),
    )
    put(tmp_path, "in/same.jsonl", jsonl(*({"id": "one", "text": f"id {i}"} for i in range(3))))
    found = table(corpus(tmp_path, id_field="id"))
    assert [row["rejected_because"] for row in found].count(None) == 3 + 3
    assert len({row["doc_id"] for row in found}) == 63


def test_no_variation_of_it_stops_a_refresh_or_touches_a_neighbour(tmp_path):
    made = dict(variations())
    for name, content in made.items():
        put(tmp_path, f"in/{name}", content)
    put(tmp_path, "in/zzz/neighbour.txt", "A good file that stands last.")
    rows = table(corpus(tmp_path))
    uris = {row["uri"].removeprefix("in/") for row in rows}
    for name in made:
        assert any(uri.startswith(name) for uri in uris), name
    for row in rows:
        assert row["rejected_because"] in {None, *REJECTIONS}
        usable = row["rejected_because"] in (None, "exact_duplicate_document")
        assert usable or (row["error"] and not (row["text"] or "").strip()), row["uri"]
    assert rows[-1]["text"] == "A good file that stands last."
    assert rows[-1]["rejected_because"] is None
