"""What a person sees of an asset in the Dagster UI: counts, verdicts, samples, plots, columns.

Text from corpora is data: it is capped, escaped and shown as text before it stands in Markdown.
Dagster stores each value four times and the UI draws a page of them at once, so every asset hands
its metadata through ``capped``.
"""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.lineage.columns import column_lineage, column_schema
from resources.store import Store, Written

# In UTF-8, as a browser gets them. A plot takes 20,000, a table of five rows at most 30,000.
MOST_BYTES_OF_A_VALUE = 40_000
MOST_BYTES = 100_000
_SAMPLE_CHARS = 300
_NAME_CHARS = 100
# Room for the sentence that stands where something is left out.
_NOTE_BYTES = 300

# What Markdown reads as marks anywhere in a line, and what makes a bare address into a link.
_LIVE = re.compile(r"[\\`*_\[\]|~@]|:(?=//)|(?<=www)\.")
_LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
# Characters that are not seen, but hide text or turn its direction: controls, overrides of
# direction, invisible operators, tags; and halves of characters, which cannot be stored. Joiners
# and marks of direction stay, since Persian, Hindi, Hebrew and emoji are written with them.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def definition_metadata(table: str) -> dict[str, Any]:
    """Gives what is known of `table` before its first row."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/column_lineage": column_lineage(table),
        "dagster/table_name": table,
        "dagster/storage_kind": "parquet",
    }


def with_code(assets: Sequence[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """Gives `assets` with the file and line of each, which the UI opens in an editor.

    Dagster 1.13 marks this as beta; it is pinned exactly, so the notice is silenced here only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return dg.with_source_code_references(assets)


def table_metadata(
    table: str, books: Books, written: Written, sample_columns: Sequence[str]
) -> dict[str, Any]:
    """Gives counts, verdicts, a sample of accepted rows, place, size and columns of `table`."""
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": books.rows,
        **placed(written.uri),
        **written_columns(table),
        "bytes": written.bytes,
        "accepted": books.accepted,
        "rejected": books.rows - books.accepted,
    }
    if books.rows:
        metadata["accepted share"] = round(books.accepted / books.rows, 4)
        metadata["verdicts"] = dg.MetadataValue.md(verdict_table(books.verdicts))
    if books.sample.num_rows:
        rows = books.sample.select(list(sample_columns)).to_pylist()
        metadata["sample"] = dg.MetadataValue.md(markdown_table(rows))
    return metadata


def written_columns(table: str) -> dict[str, Any]:
    """Gives the columns of `table` and where they come from, as a refresh has written them.

    The UI draws the way of a column from the last materialization alone.
    """
    shown = {"dagster/column_schema": column_schema(table)}
    lineage = column_lineage(table)
    return {**shown, "dagster/column_lineage": lineage} if lineage.deps_by_column else shown


def placed(uri: str) -> dict[str, Any]:
    """Gives where something was written to: a path to copy, or the address in an object store.

    No link: browsers open no files out of a web page.
    """
    return {"dagster/uri": uri, "place": link(uri)}


def link(uri: str) -> dg.MetadataValue:
    """Gives `uri` as the UI can use it: web addresses open, local paths are whole and copied."""
    if uri.startswith(("http://", "https://")):
        return dg.MetadataValue.url(uri)
    if "://" in uri:
        return dg.MetadataValue.text(uri)
    return dg.MetadataValue.path(str(Path(uri).absolute()))


def distribution(store: Store, table: str, corpus: str, column: str, title: str) -> dict[str, Any]:
    """Gives sum, median and histogram of a number in the accepted rows of `table`, if it has any.

    Raises ``TableMissing`` when the table has not been made.
    """
    from bonito_assets.tuning.plots import as_markdown, histogram

    data = store.read(table, corpus, [column, "rejected_because"])
    values = data.filter(data["rejected_because"].is_null())[column].drop_null().to_numpy()
    if not len(values):
        return {}
    return {
        f"{title}: all": int(values.sum()),
        f"{title}: median": float(np.median(values)),
        f"{title}: most": int(values.max()),
        title: dg.MetadataValue.md(as_markdown(histogram(values, title), f"rows by {title}")),
    }


def capped(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Gives `metadata` with at most 40 KB in a value and 100 KB in all.

    Markdown loses whole lines at its end and other text its end; what cannot be cut, as a plot, is
    left out; a sentence says so. What comes first is kept first.
    """
    shown: dict[str, Any] = {}
    left = MOST_BYTES - _NOTE_BYTES
    for number, (name, value) in enumerate(metadata.items()):
        if left < _NOTE_BYTES:
            shown["left out"] = f"{len(metadata) - number:,} values: there is too much to show"
            break
        name = plain(name)[:_NAME_CHARS]
        shown[name] = _shortened(value, min(MOST_BYTES_OF_A_VALUE, left))
        left -= _bytes(name) + _bytes(_text(shown[name]))
    return shown


def _shortened(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return _start(plain(value), most)
    if isinstance(value, dg.TextMetadataValue):
        return dg.MetadataValue.text(_start(plain(value.text or ""), most))
    size = _bytes(_text(value))
    if size <= most:
        return value
    if isinstance(value, dg.MarkdownMetadataValue):
        return dg.MetadataValue.md(_first_lines(value.md_str or "", most))
    return f"{size:,} bytes, which is too much to show"


def _first_lines(text: str, most: int) -> str:
    lines = text.split("\n")
    left = most - _NOTE_BYTES
    kept = 0
    while kept < len(lines) and (left := left - _bytes(lines[kept]) - 1) >= 0:
        kept += 1
    return "\n".join([*lines[:kept], "", f"({len(lines) - kept:,} more lines are not shown)"])


def _start(text: str, most: int) -> str:
    if _bytes(text) <= most:
        return text
    # A character is four bytes at most, and one cut in half at the end is dropped.
    return text[:most].encode()[: most - _NOTE_BYTES].decode(errors="ignore") + "…"


def _text(value: Any) -> str:
    """Gives `value` as the browser gets it, or nearly."""
    if isinstance(value, dg.MarkdownMetadataValue):
        return value.md_str or ""
    if isinstance(value, dg.MetadataValue):
        return str(value.value)
    return str(value)


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def verdict_table(counts: Mapping[str, int]) -> str:
    """Gives the counts per verdict as a Markdown table with the meaning of each code."""
    return markdown_table(
        [
            {"verdict": code, "rows": f"{n:,}", "meaning": tables.REJECTIONS.get(code, "")}
            for code, n in counts.items()
        ]
    )


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Gives `rows` as a Markdown table in which every cell is shown as plain text."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Gives `value` as text for a Markdown cell: capped, without markup, links or line ends."""
    text = "" if value is None else str(value)
    if len(text) > _SAMPLE_CHARS:
        text = text[:_SAMPLE_CHARS] + "…"
    text = plain(_LINE_ENDS.sub(" ↵ ", text))
    # Backslashes, since the UI shows numeric entities as they are.
    return html.escape(_LIVE.sub(r"\\\g<0>", text), quote=False)


def plain(text: str) -> str:
    """Gives `text` with each unseen character that could hide or turn text shown as ‹202E›."""
    return _UNSEEN.sub(lambda found: f"‹{ord(found[0]):04X}›", text)
