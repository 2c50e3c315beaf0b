"""Turns accepted documents into rows of `chunks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.chunking.passages import passages
from bonito_assets.identity import digest

CountTokens = Callable[[Sequence[str]], list[int]]


def chunks(documents: pa.Table, max_chars: int, count_tokens: CountTokens) -> pa.Table:
    """Gives one row of `chunks` per passage of each accepted document, in document order.

    A document that was refused has no passages; its verdict stands in `documents`.
    """
    rows = list(_rows(documents, max_chars))
    for row, n_tokens in zip(rows, count_tokens([row["text"] for row in rows]), strict=True):
        row["n_tokens"] = n_tokens
    return tables.build("chunks", rows)


def _rows(documents: pa.Table, max_chars: int) -> Iterator[dict[str, Any]]:
    for document in documents.to_pylist():
        if document["rejected_because"] is not None:
            continue
        text = document["text"]
        for position, (start, end) in enumerate(passages(text, max_chars)):
            yield {
                "corpus": document["corpus"],
                "chunk_id": digest(document["doc_id"], start, end, text[start:end]),
                "doc_id": document["doc_id"],
                "position": position,
                "start_char": start,
                "end_char": end,
                "text": text[start:end],
                "rejected_because": None,
            }
