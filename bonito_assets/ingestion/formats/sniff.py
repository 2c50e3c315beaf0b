"""Tells what a file is from its first bytes and its name.

The bytes win where they say something: a PDF named ``.txt`` is a PDF. Text says little by itself,
so there the name decides, between CSV and Markdown for instance.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bonito_assets.ingestion.formats.text import is_binary

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
EPUB = "application/epub+zip"

_TEXTS = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".json": "application/json",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
}
_OFFICE = {".docx": DOCX, ".pptx": PPTX}
_ZIPPED = {**_OFFICE, ".epub": EPUB}
_MAGIC = {
    b"PAR1": "application/vnd.apache.parquet",
    b"ARROW1\0\0": "application/vnd.apache.arrow.file",
    b"\x1f\x8b": "application/gzip",
    b"\xff\xff\xff\xff": "application/vnd.apache.arrow.file",  # a stream; see its reader
    b"\x28\xb5\x2f\xfd": "application/zstd",
    b"\xfd7zXZ\0": "application/x-xz",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# An archive without members has only the record of its end.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# What cannot be read, as (offset, bytes, name). Bytes that are letters count in a binary file only.
_OTHERS = (
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"\0\0\1\0", "an icon"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (0, b"AT&TFORM", "a DjVu scan"),
    (4, b"ftyp", "a video or a sound recording (MP4)"),
    (8, b"WAVE", "a sound recording (WAV)"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska)"),
    (0, b"ID3", "a sound recording (MP3)"),
    (0, b"\xff\xfb", "a sound recording (MP3)"),
    (0, b"OggS", "a sound recording (Ogg)"),
    (0, b"fLaC", "a sound recording (FLAC)"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\0asm", "a program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; pack it as .zip or .tar.gz"),
    (0, b"Rar!\x1a\x07", "a RAR archive; pack it as .zip or .tar.gz"),
    (0, b"PARE", "an encrypted Parquet file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"wOF", "a font"),
    (0, b"OTTO", "a font"),
    (0, b"\0\1\0\0", "a font"),
    (60, b"BOOKMOBI", "a Kindle book; convert it to EPUB"),
    (0, _OLE, "an old Office file; save it as .docx, .pptx or PDF"),
)
# Text that is written for programs.
_MARKUP = (
    (b"{\\rtf", "an RTF file; save it as .docx"),
    (b"%!PS", "a PostScript file; convert it to PDF"),
    (b"<?xml", "an XML file of a kind that is not known"),
    (b"<svg", "an SVG picture"),
)
_ZIPPED_OTHERS = {
    "xl/": "an Excel workbook; save the sheet as .csv",
    "application/vnd.oasis.opendocument": "an OpenDocument file; save it as .docx or .pptx",
}
# What was passed over is not tried again (the +): the ways to divide many comments are too many.
_HTML = re.compile(
    rb"(?>\s+|<\?xml[^>]*\?>|<!--.*?-->)*+<(?:!doctype\s+html|html)[\s>]",
    re.DOTALL | re.IGNORECASE,
)
# A PDF may begin after some bytes of mail or of the web server (ISO 32000-1, annex H.3.4.1).
_PDF_WITHIN = 1_024


def media_type(name: str, head: bytes) -> str | None:
    """Gives what a file is as a MIME type; None for what cannot be read, which `refusal` names.

    `head` are its first bytes; 4,096 tell all that can be told.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-"):
        return "application/pdf"
    if suffix == ".pdf" and b"%PDF-" in head[:_PDF_WITHIN]:
        return "application/pdf"
    for magic, found in _MAGIC.items():
        if head.startswith(magic):
            return found
    # "BZh" by itself could begin a text: after the level stands the number pi.
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "application/x-bzip2"
    if head.startswith(_ZIP):
        return _zipped(suffix, head)
    if head[257:262] == b"ustar":
        return "application/x-tar"
    # A document with a password is an OLE file inside. Its reader tells it from an older document.
    if head.startswith(_OLE):
        return _OFFICE.get(suffix)
    if _other(head) or is_binary(head):
        return None
    return _text(suffix, head)


def _text(suffix: str, head: bytes) -> str | None:
    plain = _without_utf16(head)
    if _HTML.match(plain):
        return "text/html"
    if suffix not in _TEXTS and _markup(plain):
        return None
    return _TEXTS.get(suffix, "text/plain")


def _without_utf16(head: bytes) -> bytes:
    """Gives text so that ASCII in it can be compared, whatever Unicode encoding it is in."""
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"")


def _markup(plain: bytes) -> str | None:
    return next((what for magic, what in _MARKUP if plain.lstrip().startswith(magic)), None)


def _other(head: bytes) -> str | None:
    for offset, magic, what in _OTHERS:
        if head.startswith(magic, offset) and (
            not magic.decode("latin-1").isprintable() or is_binary(head)
        ):
            return what
    return None


def _zipped(suffix: str, head: bytes) -> str | None:
    members = _first_members(head)
    kind = _mimetype(head) if members[:1] == ["mimetype"] else ""
    if kind == EPUB:
        return EPUB
    if kind.startswith("application/vnd.oasis.opendocument"):
        return None
    if "[Content_Types].xml" in members or any(name.startswith("_rels/") for name in members):
        for folder, found in (("word/", DOCX), ("ppt/", PPTX), ("xl/", None)):
            if any(name.startswith(folder) for name in members):
                return found
        # Which of them it is stands behind the first bytes.
        return _OFFICE.get(suffix)
    return _ZIPPED.get(suffix, "application/zip")


def _first_members(head: bytes) -> list[str]:
    """Gives the names of the members whose entries lie in `head` (APPNOTE.TXT, 4.3.7)."""
    names = []
    at = 0
    while head.startswith(b"PK\x03\x04", at) and at + 30 <= len(head):
        flags = int.from_bytes(head[at + 6 : at + 8], "little")
        packed = int.from_bytes(head[at + 18 : at + 22], "little")
        lengths = [int.from_bytes(head[at + i : at + i + 2], "little") for i in (26, 28)]
        names.append(head[at + 30 : at + 30 + lengths[0]].decode("utf-8", "replace"))
        # With this flag the size stands behind the member, and where that ends is not known.
        if flags & 8 and not packed:
            break
        at += 30 + sum(lengths) + packed
    return names


def _mimetype(head: bytes) -> str:
    """Gives what the first member says of the archive; it is stored as it is."""
    size = int.from_bytes(head[22:26], "little")
    start = 30 + sum(int.from_bytes(head[i : i + 2], "little") for i in (26, 28))
    return head[start : start + min(size, 100)].decode("ascii", "replace").strip()


def refusal(name: str, head: bytes) -> str:
    """Gives what a file is that cannot be read, in a sentence that continues "<its name> ..."."""
    if what := _other(head) or _markup(_without_utf16(head)):
        return f"is {what}"
    if head.startswith(_ZIP):
        members = _first_members(head)
        said = [*members, _mimetype(head) if members[:1] == ["mimetype"] else ""]
        for start, what in _ZIPPED_OTHERS.items():
            if any(text.startswith(start) for text in said):
                return f"is {what}"
        return "is an Office file of a kind that cannot be read"
    suffix = PurePosixPath(name).suffix
    return f"is a binary file of an unknown kind{f', whatever {suffix} says' if suffix else ''}"
