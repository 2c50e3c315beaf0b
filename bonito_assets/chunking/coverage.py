"""Whether the passages of a corpus are its documents: each in its place, and nothing left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

DOCUMENT_COLUMNS = ("doc_id", "text", "rejected_because")
CHUNK_COLUMNS = ("doc_id", "chunk_id", "start_char", "end_char", "text")


@dataclass
class Coverage:
    """What a comparison found: how much was looked at, and the ids of what is wrong.

    ``misplaced`` are passages that are not the text at their offsets, ``uncovered`` the accepted
    documents of which a character other than whitespace is in no passage.
    """

    documents: int = 0
    passages: int = 0
    misplaced: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)


def coverage(documents: Iterable[pa.RecordBatch], chunks: Iterable[pa.RecordBatch]) -> Coverage:
    """Compares every passage with the document that it was cut from; both in the order of tables.

    A passage of a document that was refused or is not there is misplaced. Two stretches of the
    tables are held at a time.
    """
    found = Coverage()
    of_document = groupby(_rows(chunks, CHUNK_COLUMNS), key=itemgetter(0))
    doc_id, own = next(of_document, (None, iter(())))
    for document, text, verdict in _rows(documents, DOCUMENT_COLUMNS):
        if verdict is not None:
            continue
        found.documents += 1
        reach = 0
        is_whole = True
        if doc_id == document:
            for _, chunk_id, start, end, passage in own:
                found.passages += 1
                if text[start:end] != passage:
                    found.misplaced.append(chunk_id)
                is_whole = is_whole and not text[reach:start].strip()
                reach = max(reach, end)
            doc_id, own = next(of_document, (None, iter(())))
        if not is_whole or text[reach:].strip():
            found.uncovered.append(document)
    while doc_id is not None:
        strangers = [row[1] for row in own]
        found.passages += len(strangers)
        found.misplaced += strangers
        doc_id, own = next(of_document, (None, iter(())))
    return found


def _rows(batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]) -> Iterator[tuple]:
    for batch in batches:
        yield from zip(*(batch[name].to_pylist() for name in columns), strict=True)
