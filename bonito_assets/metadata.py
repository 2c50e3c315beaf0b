"""What a person sees of a table in the Dagster UI: counts, verdicts, a sample, the schema.

Text from corpora is data: it is escaped and capped before it stands in Markdown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from bonito_assets import tables
from bonito_assets.books import Books
from resources.store import Written

_SAMPLE_CHARS = 300
# What Markdown reads as marks anywhere in a line, and what makes a bare address into a link.
_LIVE = re.compile(r"[\\`*_\[\]|~@]|:(?=//)|(?<=www)\.")
_LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def column_schema(table: str) -> dg.TableSchema:
    """Gives the columns of `table` with their meaning, as Dagster shows them."""
    meanings = tables.meanings(table)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=meanings[field.name],
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in tables.SCHEMAS[table]
        ]
    )


def definition_metadata(table: str) -> dict[str, Any]:
    """Gives what is known of `table` before its first row."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": table,
        "dagster/storage_kind": "parquet",
    }


def table_metadata(books: Books, written: Written, sample_columns: Sequence[str]) -> dict[str, Any]:
    """Gives row count, verdict counts, a sample of accepted rows, place and size of a table."""
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": books.rows,
        "dagster/uri": written.uri,
        "bytes": written.bytes,
        "accepted": books.accepted,
        "rejected": books.rows - books.accepted,
        "verdicts": dg.MetadataValue.md(verdict_table(books.verdicts)),
    }
    if books.sample.num_rows:
        rows = books.sample.select(list(sample_columns)).to_pylist()
        metadata["sample"] = dg.MetadataValue.md(markdown_table(rows))
    return metadata


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
    text = _LINE_ENDS.sub(" ↵ ", text.replace("\0", ""))
    # Backslashes, since the UI shows numeric entities as they are.
    return html.escape(_LIVE.sub(r"\\\g<0>", text), quote=False)
