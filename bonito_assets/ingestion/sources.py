"""Finds the items of a source and reads them: text, Markdown, JSONL and `datasets`.

Reading is total: an item that cannot be read, or a broken line among good ones, comes out as a
row that says why, and its neighbours are untouched. Only a source that does not exist at all
(no such path, nothing in it) is an error, since an empty answer would look like "all deleted".
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from bonito_assets.catalogue import Corpus, HubDataset, Source


class SourceError(ValueError):
    """A source is not there or has nothing in it; the message names the catalogue key."""


@dataclass(frozen=True)
class Item:
    """One source item as it was read, before it becomes a row of `documents`.

    ``own_id`` is the source's own id where it has one; ``text`` is None when ``error`` says why.
    """

    uri: str
    media_type: str | None
    content_sha256: str | None = None
    own_id: str | None = None
    title: str | None = None
    text: str | None = None
    rejected_because: str | None = None
    error: str | None = None


@dataclass
class Selection:
    """Counts rows that the catalogue's ``where`` left out, so that the books name them too."""

    left_out: int = 0


def read(corpus: Corpus, selection: Selection | None = None) -> Iterator[Item]:
    """Gives every item of the corpus's source, in a stable order, up to its ``limit``.

    Raises ``SourceError`` when there is no such source or nothing in it.
    """
    selection = selection if selection is not None else Selection()
    source = corpus.source
    items = (
        _from_dataset(corpus, source.dataset, selection)
        if source.dataset
        else _from_files(corpus, selection)
    )
    for number, item in enumerate(items):
        if source.limit is not None and number >= source.limit:
            return
        yield item


# Files


@dataclass(frozen=True)
class SourceFile:
    """One file: its uri as stored in `documents`, and the way to open it."""

    uri: str
    open: Callable[[], Any]


def find_files(corpus: Corpus) -> list[SourceFile]:
    """Gives the files that the corpus's patterns name, sorted by uri, each once.

    Hidden files are left out. A relative pattern gives uris relative to the catalogue's folder,
    so that a moved project keeps its document ids.
    """
    found: dict[str, SourceFile] = {}
    for pattern in corpus.source.patterns:
        files = list(_matches(corpus, pattern))
        if not files:
            raise SourceError(
                f"corpus '{corpus.name}': source.files: '{corpus.path(pattern)}' "
                f"{_absence(corpus.path(pattern))}; point source.files in "
                f"{corpus.folder / (corpus.name + '.yaml')} at a file, a folder or a glob"
            )
        found.update((file.uri, file) for file in files)
    return [found[uri] for uri in sorted(found)]


def _absence(location: str) -> str:
    if "://" not in location and Path(location).is_dir():
        return "is a folder without files"
    return "matches no file" if glob.has_magic(location) else "does not exist"


def _matches(corpus: Corpus, pattern: str) -> Iterator[SourceFile]:
    filesystem, path = fsspec.core.url_to_fs(corpus.path(pattern))
    if glob.has_magic(path) and not filesystem.exists(path):
        fixed = path[: re.search(r"[*?\[]", path).start()].rpartition("/")[0]  # type: ignore[union-attr]
        paths = [match for match in filesystem.glob(path) if filesystem.isfile(match)]
    else:
        fixed = path
        paths = filesystem.find(path)
    relative = "://" not in pattern and not Path(pattern).is_absolute()
    for match in paths:
        if any(part.startswith(".") for part in match.removeprefix(fixed).split("/")):
            continue
        if not isinstance(filesystem, LocalFileSystem):
            uri = filesystem.unstrip_protocol(match)
        else:
            uri = Path(os.path.relpath(match, corpus.folder)).as_posix() if relative else match
        yield SourceFile(uri, lambda match=match: filesystem.open(match, "rb"))


def _from_files(corpus: Corpus, selection: Selection) -> Iterator[Item]:
    for file in find_files(corpus):
        reader = _READERS.get(Path(file.uri).suffix.lower())
        if reader is None:
            yield Item(
                file.uri,
                media_type=None,
                rejected_because="unsupported_format",
                error=f"no reader for '{Path(file.uri).suffix or 'no suffix'}'; "
                f"readable: {', '.join(_READERS)}",
            )
            continue
        try:
            yield from reader(file, corpus.source, selection)
        except OSError as error:
            yield _unreadable(file.uri, None, f"could not be read: {error}")


def _read_text(media_type: str) -> Callable[[SourceFile, Source, Selection], Iterator[Item]]:
    def reader(file: SourceFile, source: Source, selection: Selection) -> Iterator[Item]:
        with file.open() as handle:
            content = handle.read()
        sha = hashlib.sha256(content).hexdigest()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            yield _unreadable(file.uri, media_type, f"is not UTF-8 text: {error}", sha)
            return
        # Line ends as every stage downstream expects them; offsets count from this text.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        title = _heading(text) if media_type == "text/markdown" else None
        yield Item(file.uri, media_type, sha, title=title or Path(file.uri).stem, text=text)

    return reader


def _read_jsonl(file: SourceFile, source: Source, selection: Selection) -> Iterator[Item]:
    with file.open() as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            uri = f"{file.uri}#{number}"
            sha = hashlib.sha256(line.rstrip(b"\r\n")).hexdigest()
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                yield _unreadable(
                    uri, "application/jsonl", f"line {number}: not JSON: {error}", sha
                )
                continue
            if not isinstance(row, dict):
                yield _unreadable(uri, "application/jsonl", f"line {number}: not an object", sha)
                continue
            if not _selected(row, source):
                selection.left_out += 1
                continue
            yield _from_row(uri, "application/jsonl", row, source, sha)


_READERS: dict[str, Callable[[SourceFile, Source, Selection], Iterator[Item]]] = {
    ".txt": _read_text("text/plain"),
    ".text": _read_text("text/plain"),
    ".md": _read_text("text/markdown"),
    ".markdown": _read_text("text/markdown"),
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
}


def _heading(text: str) -> str | None:
    match = re.search(r"^#{1,6}[ \t]+(\S.*?)[ \t#]*$", text, flags=re.MULTILINE)
    return match.group(1) if match else None


# Rows


def _from_dataset(corpus: Corpus, dataset: HubDataset, selection: Selection) -> Iterator[Item]:
    from datasets import load_dataset

    local = Path(corpus.path(dataset.path))
    path = str(local) if local.exists() else dataset.path
    try:
        rows = load_dataset(path, dataset.name, split=dataset.split, revision=dataset.revision)
    except Exception as error:  # the library raises many kinds; each means "not there"
        raise SourceError(
            f"corpus '{corpus.name}': source.dataset: '{path}' could not be loaded: {error}"
        ) from error
    base = f"{path}/{dataset.name}" if dataset.name else path
    for number, row in enumerate(rows):
        if not _selected(row, corpus.source):
            selection.left_out += 1
            continue
        sha = hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()
        yield _from_row(f"{base}/{dataset.split}#{number}", None, row, corpus.source, sha)


def _selected(row: dict[str, Any], source: Source) -> bool:
    return all(row.get(field) == value for field, value in source.where.items())


def _from_row(
    uri: str, media_type: str | None, row: dict[str, Any], source: Source, sha: str
) -> Item:
    own_id = row.get(source.id_field) if source.id_field else None
    if source.id_field and own_id is None:
        return _unreadable(uri, media_type, f"has no field '{source.id_field}' (id_field)", sha)
    if source.text_field not in row:
        fields = ", ".join(row) or "none"
        return _unreadable(
            uri,
            media_type,
            f"has no field '{source.text_field}' (text_field); it has: {fields}",
            sha,
        )
    text = row[source.text_field]
    if text is not None and not isinstance(text, str):
        kind = type(text).__name__
        return _unreadable(uri, media_type, f"field '{source.text_field}' is {kind}, not text", sha)
    title = row.get(source.title_field or "title")
    return Item(
        uri,
        media_type,
        sha,
        own_id=None if own_id is None else str(own_id),
        title=title if isinstance(title, str) else None,
        text=text or "",
    )


def _unreadable(uri: str, media_type: str | None, error: str, sha: str | None = None) -> Item:
    return Item(uri, media_type, sha, rejected_because="unreadable", error=error)
