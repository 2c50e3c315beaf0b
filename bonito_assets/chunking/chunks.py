"""Turns accepted documents into rows of `chunks`, a few megabytes of text at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.chunking.passages import (
    MAX_TITLE_CHARS,
    CountTokens,
    Passage,
    counted_passages,
)
from bonito_assets.chunking.sentences import Heading, sentences
from bonito_assets.identity import digest

Judge = Callable[[str, Collection[str]], str | None]

_DOCUMENT_COLUMNS = ("corpus", "doc_id", "uri", "text", "headings", "rejected_because")
# Enough text for the tokenizer to use all cores, and little beside the rest of the process.
_CHARS_AT_ONCE = 4_000_000
# Word processors have nine levels of headings, HTML six.
_DEEPEST = 9


class _Document(NamedTuple):
    corpus: str
    doc_id: str
    uri: str
    text: str
    headings: list[Heading]


def chunks(
    documents: Iterable[pa.RecordBatch],
    max_chars: int,
    count_tokens: CountTokens,
    max_tokens: int | None = None,
    units: Collection[str] = ("paragraph",),
    judge: Judge | None = None,
) -> Iterator[pa.RecordBatch]:
    """Gives the rows of `chunks` for each accepted document, in document order, batch by batch.

    `units` are what passages shall serve as: ``paragraph``, ``sentence`` or both. A span that is
    both is one row. No row has more than `max_chars` code points or `max_tokens` tokens, as
    `count_tokens` counts them; a sentence that has is left out, its text is in a paragraph.
    `judge` gives the verdict on a passage from its text and its units, None where it is accepted.
    A document that was refused has no passages; its verdict stands in `documents`.
    """
    for group in _groups(documents):
        found = _spans(group, max_chars, max_tokens, count_tokens, units)
        if any(found):
            yield _rows(group, found, judge)


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[_Document]]:
    """Gives the accepted documents in groups of some megabytes."""
    group: list[_Document] = []
    size = 0
    for batch in batches:
        columns = [batch[name] for name in _DOCUMENT_COLUMNS]
        for row in range(batch.num_rows):
            corpus, doc_id, uri, text, headings, verdict = (c[row].as_py() for c in columns)
            if verdict is not None:
                continue
            places = [(heading["start_char"], heading["level"]) for heading in headings or ()]
            group.append(_Document(corpus, doc_id, uri, text, sorted(places)))
            size += len(text)
            if size >= _CHARS_AT_ONCE:
                yield group
                group, size = [], 0
    if group:
        yield group


def _spans(
    group: Sequence[_Document],
    max_chars: int,
    max_tokens: int | None,
    count_tokens: CountTokens,
    units: Collection[str],
) -> list[dict[Passage, list[str]]]:
    """Gives, for each document, its passages in order with the units that each serves as."""
    found: list[dict[Passage, list[str]]] = [{} for _ in group]
    if "paragraph" in units:
        texts = [(document.text, document.headings) for document in group]
        for own, cut in zip(
            found, counted_passages(texts, max_chars, max_tokens, count_tokens), strict=True
        ):
            own.update((passage, ["paragraph"]) for passage in cut)
    if "sentence" in units:
        single = [
            (number, start, end)
            for number, document in enumerate(group)
            for start, end in sentences(document.text, document.headings)
            if end - start <= max_chars
        ]
        counts = count_tokens([group[n].text[start:end] for n, start, end in single])
        for (number, start, end), n_tokens in zip(single, counts, strict=True):
            if max_tokens is None or n_tokens <= max_tokens:
                found[number].setdefault(Passage(start, end, n_tokens), []).append("sentence")
    return [dict(sorted(own.items())) for own in found]


def _rows(
    group: Sequence[_Document], found: Sequence[dict[Passage, list[str]]], judge: Judge | None
) -> pa.RecordBatch:
    columns: dict[str, list] = {name: [] for name in tables.CHUNKS.names}
    for document, own in zip(group, found, strict=True):
        starts = [start for start, _ in document.headings]
        paths = _heading_paths(document.text, document.headings)
        for position, ((start, end, n_tokens), units) in enumerate(own.items()):
            text = document.text[start:end]
            row = {
                "corpus": document.corpus,
                "chunk_id": digest(document.doc_id, start, end, text),
                "doc_id": document.doc_id,
                "uri": document.uri,
                "position": position,
                "start_char": start,
                "end_char": end,
                "text": text,
                "n_tokens": n_tokens,
                "units": units,
                "heading_path": paths[bisect_right(starts, start)],
                "rejected_because": judge(text, units) if judge else None,
            }
            for name, value in row.items():
                columns[name].append(value)
    return pa.RecordBatch.from_pydict(columns, schema=tables.CHUNKS)


def _heading_paths(text: str, headings: Sequence[Heading]) -> list[list[str]]:
    """Gives the titles over what stands after the first so many headings, outermost first."""
    paths: list[list[str]] = [[]]
    above: list[tuple[int, str]] = []
    for start, level in headings:
        line_end = text.find("\n", start, start + MAX_TITLE_CHARS)
        title = text[start : line_end if line_end >= 0 else start + MAX_TITLE_CHARS]
        above = [(outer, name) for outer, name in above if outer < level][: _DEEPEST - 1]
        above.append((level, title.strip().strip("#").strip()))
        paths.append([name for _, name in above])
    return paths
