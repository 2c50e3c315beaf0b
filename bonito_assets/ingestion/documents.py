"""Turns source items into rows of `documents`: clean text, stable ids, a verdict on each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.ingestion.sources import Item

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def documents(corpus: str, items: Iterable[Item]) -> pa.Table:
    """Gives one row of `documents` per item, in the order of `items`.

    Of documents with the same text the first is kept; of items with the same id each gets a
    ``doc_id`` of its own, the first one that of the id alone.
    """
    return tables.build("documents", _rows(corpus, items))


def clean(text: str) -> str:
    """Gives `text` in NFC, without NUL, with U+FFFD for lone surrogates.

    Parquet and DuckDB hold UTF-8, in which a lone surrogate has no form.
    """
    return unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text.replace("\0", "")))


def _rows(corpus: str, items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    times_seen: dict[str, int] = {}
    first_with: dict[str, str] = {}
    for item in items:
        name = item.uri if item.own_id is None else f"id:{item.own_id}"
        occurrence = times_seen[name] = times_seen.get(name, 0) + 1
        doc_id = digest(corpus, clean(name), *([occurrence] if occurrence > 1 else []))
        text = None if item.text is None else clean(item.text)
        verdict, error = item.rejected_because, item.error
        if verdict is None and not (text or "").strip():
            verdict, error = "empty", "holds no text"
        elif verdict is None:
            first = first_with.setdefault(digest(text), item.uri)
            if first != item.uri:
                verdict, error = "exact_duplicate_document", f"has the same text as {first}"
        yield {
            "corpus": corpus,
            "doc_id": doc_id,
            "uri": clean(item.uri),
            "title": None if item.title is None else clean(item.title),
            "text": text,
            "media_type": item.media_type,
            "n_chars": None if text is None else len(text),
            "content_sha256": item.content_sha256,
            "error": None if error is None else clean(error),
            "rejected_because": verdict,
        }
