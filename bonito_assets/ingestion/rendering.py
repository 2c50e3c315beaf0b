"""From items to rows of `documents`: clean text, stable ids, a verdict on each.

What depends on one item alone is settled here, in the worker; what depends on the others (which of
equal documents is the first) is settled where all of them pass, in ``documents``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.ingestion.items import Item
from bonito_assets.ingestion.reading import Reading

# As `documents`, with the number of the file in its job.
SCHEMA = tables.DOCUMENTS.insert(0, pa.field("entry", pa.int32())).remove_metadata()

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """Gives `text` in NFC, without NUL, with U+FFFD for lone surrogates.

    Parquet and DuckDB hold UTF-8, in which a lone surrogate has no form.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text  # as it is already, and most text is
    try:
        text.encode("utf-8")  # ten times as fast as looking for surrogates
    except UnicodeEncodeError:
        text = _SURROGATES.sub("\ufffd", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def rows(items: Iterable[tuple[int, Item]], reading: Reading) -> pa.RecordBatch:
    """Gives one row of ``SCHEMA`` per item; each comes with the number of its file in the job."""
    return batch([row(entry, item, reading) for entry, item in items])


def batch(made: Sequence[tuple[object, ...]]) -> pa.RecordBatch:
    """Gives what ``row`` made, as a batch of ``SCHEMA``."""
    columns = list(zip(*made, strict=True)) if made else [[] for _ in SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def row(entry: int, item: Item, reading: Reading) -> tuple[object, ...]:
    """Gives the values of one row of ``SCHEMA``, of the item of file number `entry`."""
    name = item.uri if item.own_id is None else f"id:{item.own_id}"
    verdict, error, warning = item.rejected_because, item.error, item.warning
    text, headings = None, item.headings
    if item.text is not None:
        text, headings, masked = _settled(item.text, headings, reading)
        if masked:
            warning = f"{warning}; {masked}" if warning else masked
    if verdict is None and (not text or text.isspace()):
        verdict, error = "empty", "holds no text"
    elif text is not None and len(text) > reading.limits.text_mb * 1_000_000:
        verdict = "too_large"
        error = f"holds more than limits.text_mb ({reading.limits.text_mb}) million characters"
        text, headings = None, ()
    # In the order of SCHEMA.
    return (
        entry,
        reading.corpus,
        digest(reading.corpus, clean(name)),
        clean(item.uri),
        _cleaned(item.title, reading),
        text,
        item.media_type,
        None if text is None else len(text),
        headings and [{"start_char": start, "level": level} for start, level in headings],
        _cleaned(item.license, reading),
        item.content_sha256 or None,
        None if text is None else text_digest(text),
        None if error is None else clean(error),
        None if warning is None else clean(warning),
        verdict,
    )


def text_digest(text: str) -> str:
    """Gives the digest by which equal texts are known."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def _cleaned(text: str | None, reading: Reading) -> str | None:
    return None if text is None else _settled(text, (), reading)[0]


def _settled(
    text: str, headings: Sequence[tuple[int, int]], reading: Reading
) -> tuple[str, tuple[tuple[int, int], ...], str | None]:
    """Gives clean and, if the corpus asks for it, masked text, with headings at their new places.

    The third value says what was masked.
    """
    if not headings and not reading.mask_personal_data:
        return clean(text), (), None
    bounds = [0, *(start for start, _ in headings), len(text)]
    pieces, places, length = [], [], 0
    found: dict[str, int] = {}
    for start, end in pairwise(bounds):
        piece = clean(text[start:end])
        if reading.mask_personal_data:
            from bonito_assets.personal_data import mask

            piece, kinds = mask(piece)
            for kind, n in kinds.items():
                found[kind] = found.get(kind, 0) + n
        places.append(length)
        pieces.append(piece)
        length += len(piece)
    moved = tuple((place, level) for place, (_, level) in zip(places[1:], headings, strict=True))
    masked = ", ".join(f"{kind.lower()} {n:,}" for kind, n in sorted(found.items()))
    return "".join(pieces), moved, f"masked: {masked}" if masked else None
