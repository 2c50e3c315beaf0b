"""From the bytes of one file to its items: one document, rows, or the members of an archive.

Reading is total: what cannot be read comes out as an item that says why, and what stands beside
it is untouched. Nothing here opens a file or writes one.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

from bonito_assets.ingestion import archives, rows
from bonito_assets.ingestion.formats import sniff
from bonito_assets.ingestion.formats.extracted import Extracted, Refused
from bonito_assets.ingestion.reading import Reading

_JSONL = "application/jsonl"
# What a file is shows in its first bytes; a tar archive says so at byte 257.
_HEAD = 4096

# A member is told before it is read or passed over, by its number: if reading it takes the process
# down, the next one goes on after it.
Begin = Callable[[int, str], None]


class Item(NamedTuple):
    """One source item as it was read, before it becomes a row of `documents`.

    ``own_id`` is the source's own id where it has one; ``text`` is None when ``error`` says why.
    """

    uri: str
    media_type: str | None
    content_sha256: str | None = None
    own_id: str | None = None
    title: str | None = None
    text: str | None = None
    headings: tuple[tuple[int, int], ...] = ()
    license: str | None = None
    warning: str | None = None
    rejected_because: str | None = None
    error: str | None = None


class LeftOut(NamedTuple):
    """A row that the catalogue's ``where`` leaves out: counted, and no item."""


def items(
    uri: str,
    file: BinaryIO,
    size: int,
    sha256: str,
    reading: Reading,
    begin: Begin = lambda _number, _name: None,
    start: int = 0,
) -> Iterator[Item | LeftOut]:
    """Gives the items of the file called `uri`, which has `size` bytes; never raises.

    Of an archive the first `start` members are passed over. Running out of memory, and it alone,
    is passed on.
    """
    try:
        yield from _file(uri, file, size, sha256, reading, begin, start)
    except Refused as refused:
        yield Item(uri, None, sha256, rejected_because=refused.code, error=str(refused))
    except MemoryError:
        raise
    except Exception as error:  # a reader of damaged bytes may fail in any way
        yield Item(uri, None, sha256, rejected_because="unreadable", error=_cause(error))


def lines(
    uri: str, file: BinaryIO, sha256: str, reading: Reading, lines_before: int
) -> Iterator[Item | LeftOut]:
    """Gives the items of a stretch of JSONL with `lines_before` in front of it; never raises.

    Running out of memory, and it alone, is passed on.
    """
    try:
        for row in rows.jsonl(file, reading, lines_before):
            yield _selected(uri, _JSONL, row, reading)
    except MemoryError:
        raise
    except Exception as error:  # as in `items`
        yield Item(uri, None, sha256, rejected_because="unreadable", error=_cause(error))


def divides_into_lines(name: str, head: bytes) -> bool:
    """Tells whether a file that begins with `head` may be read by ``lines``, in stretches."""
    return sniff.media_type(name, head) == _JSONL and not head.startswith(rows.UTF16)


def _file(
    uri: str,
    file: BinaryIO,
    size: int,
    sha256: str,
    reading: Reading,
    begin: Begin,
    start: int,
) -> Iterator[Item | LeftOut]:
    name = PurePosixPath(uri).name
    head, file = _peeked(file)
    media_type = sniff.media_type(name, head)
    if media_type in archives.COMPRESSIONS:
        file = archives.decompressed(file, media_type, size, reading.limits)
        name = archives.inner_name(name)
        head, file = _peeked(file)
        media_type = sniff.media_type(name, head)
        if media_type in archives.COMPRESSIONS:
            raise Refused("unsafe_archive", "is compressed twice; unpack it once")
        if media_type in rows.SEEKING:
            file = io.BytesIO(file.read())
    if media_type not in archives.CONTAINERS:
        yield from _content(uri, name, media_type, head, file, sha256, reading)
        return
    empty = True
    for number, member in enumerate(archives.members(file, media_type, size, reading.limits)):
        empty = False
        inside = f"{uri}!/{member.name}"
        begin(number, inside)
        if number < start:
            continue
        yield from _member(inside, member, reading)
    if empty:
        raise Refused("empty", "is an archive without files, hidden ones apart")


def _member(uri: str, member: archives.Member, reading: Reading) -> Iterator[Item | LeftOut]:
    sha256 = None
    try:
        content = member.read()
        sha256 = hashlib.sha256(content).hexdigest()
        head, file = content[:_HEAD], io.BytesIO(content)
        name = PurePosixPath(member.name).name
        media_type = sniff.media_type(name, head)
        if media_type in archives.CONTAINERS or media_type in archives.COMPRESSIONS:
            raise Refused("unsafe_archive", "is an archive inside an archive; unpack the outer one")
        yield from _content(uri, name, media_type, head, file, sha256, reading)
    except Refused as refused:
        yield Item(uri, None, sha256, rejected_because=refused.code, error=str(refused))
    except MemoryError:
        raise
    except Exception as error:  # as above: one bad member is one bad row
        yield Item(uri, None, sha256, rejected_because="unreadable", error=_cause(error))


def _content(
    uri: str,
    name: str,
    media_type: str | None,
    head: bytes,
    file: BinaryIO,
    sha256: str,
    reading: Reading,
) -> Iterator[Item | LeftOut]:
    if media_type in rows.READERS:
        yield from _rows(uri, media_type, file, reading)
        return
    if media_type not in _DOCUMENTS:
        raise Refused("unsupported_format", sniff.refusal(name, head))
    content = file.read(reading.limits.text_mb * 1_000_000 * 4 + 1)
    if len(content) > reading.limits.text_mb * 1_000_000 * 4:
        raise Refused("too_large", f"is larger than four times text_mb ({reading.limits.text_mb})")
    found = _document_reader(media_type)(content)
    yield Item(
        uri,
        media_type,
        sha256,
        title=found.title or PurePosixPath(name).stem,
        text=found.text,
        headings=found.headings,
        license=found.license,
        warning=found.warning,
    )


def _rows(uri: str, media_type: str, file: BinaryIO, reading: Reading) -> Iterator[Item | LeftOut]:
    empty = True
    for row in rows.READERS[media_type](file, reading):
        empty = False
        yield _selected(uri, media_type, row, reading)
    if empty:
        raise Refused("empty", "holds no rows")


def _selected(uri: str, media_type: str, row: rows.Row, reading: Reading) -> Item | LeftOut:
    if reading.where and row.values is not None and not rows.selected(row.values, reading):
        return LeftOut()
    return from_row(f"{uri}#{row.number}", media_type, row, reading)


def from_row(uri: str, media_type: str | None, row: rows.Row, reading: Reading) -> Item:
    """Gives the item of one row of a table; a row without usable text says why."""

    def refused(error: str, code: str = "unreadable") -> Item:
        return Item(uri, media_type, row.sha256, rejected_because=code, error=error)

    if row.values is None:
        return refused(row.error or "cannot be read", row.code)
    values = row.values
    own_id = values.get(reading.id_field) if reading.id_field else None
    if reading.id_field and own_id is None:
        return refused(f"has no field '{reading.id_field}' (id_field)")
    if reading.text_field not in values:
        fields = ", ".join(map(str, values)) or "none"
        return refused(f"has no field '{reading.text_field}' (text_field); it has: {fields}")
    text = values[reading.text_field]
    if text is not None and not isinstance(text, str):
        return refused(f"field '{reading.text_field}' is {type(text).__name__}, not text")
    title = values.get(reading.title_field or "title")
    license_ = values.get(reading.license_field or "license")
    return Item(
        uri,
        media_type,
        row.sha256,
        own_id=None if own_id is None else str(own_id),
        title=title if isinstance(title, str) else None,
        text=text or "",
        license=license_ if isinstance(license_, str) else None,
        warning=row.error,
    )


_DOCUMENTS = {
    "text/plain": ("text", "read_plain"),
    "text/markdown": ("text", "read_markdown"),
    "text/html": ("html", "read"),
    "application/xhtml+xml": ("html", "read"),
    "application/pdf": ("pdf", "read"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("docx", "read"),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ("pptx", "read"),
    "application/epub+zip": ("epub", "read"),
}


def _document_reader(media_type: str) -> Callable[[bytes], Extracted]:
    # Imported when the first file of its kind comes: most corpora have one kind.
    import importlib

    module, function = _DOCUMENTS[media_type]
    return getattr(importlib.import_module(f"bonito_assets.ingestion.formats.{module}"), function)


def _peeked(file: BinaryIO) -> tuple[bytes, BinaryIO]:
    """Gives the first bytes of `file`, and a file that begins with them all the same."""
    if file.seekable():
        head = file.read(_HEAD)
        file.seek(0)
        return head, file
    buffered = io.BufferedReader(file, 1 << 20)  # type: ignore[arg-type]
    return buffered.peek(_HEAD)[:_HEAD], buffered


def _cause(error: Exception) -> str:
    words = " ".join(str(error).split())[:300]
    return f"cannot be read: {type(error).__name__}{': ' + words if words else ''}"
