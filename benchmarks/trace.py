"""What it costs to trace one row of a million, back to its document and forward from it."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import request_key
from bonito_assets.identity import digest
from bonito_assets.lineage.trace import Trace, trace
from bonito_assets.publishing.publish import DATASET
from bonito_assets.publishing.release import write_rows
from bonito_assets.publishing.rows import with_messages
from resources.store import Store

CORPUS = "bench"
BATCH = 2048
TRACED = 100
PASSAGE_CHARS = 600
FINGERPRINT = "0123456789abcdef0123456789abcdef"
SAMPLING = '{"max_tokens":256,"temperature":0.5,"top_p":0.95}'
WORDS = 5000


@dataclass(frozen=True)
class Cost:
    """Seconds of each question, and the CPU seconds of all of them."""

    seconds: list[float]
    cpu_seconds: float

    def row(self, what: str) -> str:
        """Gives the line of the table."""
        cpu = self.cpu_seconds / len(self.seconds)
        return (
            f"| {what} | {statistics.median(self.seconds):.3f} s | {max(self.seconds):.3f} s | "
            f"{cpu:.3f} s |"
        )


def batches(rows: int) -> Iterator[dict[str, list[Any]]]:
    """Gives the columns of all tables, a batch at a time: a document, a passage and a row each."""
    random = np.random.default_rng(0)
    words = [random.bytes(4).hex()[: 2 + number % 7] for number in range(WORDS)]
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        drawn = random.integers(0, WORDS, (count, PASSAGE_CHARS // 6)).tolist()
        texts = [" ".join([words[number] for number in numbers]) for numbers in drawn]
        doc_ids = [digest(CORPUS, str(start + number)) for number in range(count)]
        chunk_ids = [digest(doc_id, "passage") for doc_id in doc_ids]
        keys = [
            request_key(prompt(text, TASK_TYPES["nli"]), FINGERPRINT, SAMPLING, 0) for text in texts
        ]
        yield {
            "doc_id": doc_ids,
            "chunk_id": chunk_ids,
            "generation_id": [digest(*ids) for ids in zip(chunk_ids, keys, strict=True)],
            "request_key": keys,
            "text": texts,
            "input": [f"{text}\nIs that so?" for text in texts],
            "end_char": [len(text) for text in texts],
        }


def fill(store: Store, rows: int) -> None:
    """Writes the five tables and a release of `rows` rows each."""
    constant: dict[str, Any] = {
        "corpus": CORPUS, "uri": "file.txt", "position": 0, "start_char": 0,
        "units": ["paragraph"], "task_type": "nli", "sample": 0, "output": "Yes",
        "model": "bench@0123456789ab", "model_fingerprint": FINGERPRINT, "sampling": SAMPLING,
        "task_name": TASK_TYPES["nli"], "run_id": "01234567-89ab-cdef-0123-456789abcdef",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip

    def of(schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for columns in batches(rows):
            count = len(columns["doc_id"])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(columns[f.name], f.type)
                    if f.name in columns
                    else pa.repeat(pa.scalar(constant.get(f.name), f.type), count)
                    for f in schema
                ],
                schema=schema,
            )

    for table, schema in tables.SCHEMAS.items():
        store.write_batches(table, CORPUS, schema, of(schema))

    def published() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        for batch in of(tables.CURATED_TASKS):
            ends = np.full(batch.num_rows, PASSAGE_CHARS)
            side = np.arange(batch.num_rows) % 10 == 0
            yield with_messages(batch, np.zeros_like(ends), ends), pa.array(side)

    with store.new_folder(DATASET, CORPUS) as folder:
        release = folder / "releases" / "one"
        release.mkdir(parents=True)
        made = write_rows(release, published())
        record = json.dumps({"name": CORPUS, "version": made.version, "splits": made.splits})
        for place in (folder, release):
            (place / "release.json").write_text(record)


def ask(store: Store, ids: list[str], is_right: Callable[[Trace], bool]) -> Cost:
    """Gives what it costs to trace each of `ids`, one after the other."""
    seconds, cpu = [], time.process_time()
    for one in ids:
        started = time.monotonic()
        found = trace(store, one)
        seconds.append(time.monotonic() - started)
        assert is_right(found), found
    return Cost(seconds, time.process_time() - cpu)


def chosen(store: Store, rows: int) -> list[dict[str, Any]]:
    """Gives the ids of 100 random rows."""
    columns = ["generation_id", "chunk_id", "doc_id"]
    places = np.random.default_rng(1).choice(rows, min(TRACED, rows), replace=False)
    path = store.table_path("curated_tasks", CORPUS)
    return pq.read_table(path, columns=columns).take(pa.array(places)).to_pylist()


def measure(rows: int = 1_000_000) -> str:
    """Gives the section of RESULTS.md."""
    with tempfile.TemporaryDirectory() as root:
        store = Store(root=root)
        fill(store, rows)
        size = sum(path.stat().st_size for path in Path(root).rglob("*.parquet"))
        asked = chosen(store, rows)
        by_row = ask(
            store,
            [row["generation_id"] for row in asked],
            lambda t: bool(t.generation["prompt_is_verified"] and t.document and t.releases),
        )
        by_beginning = ask(
            store,
            [row["generation_id"][:12] for row in asked[:20]],
            lambda t: bool(t.generation["prompt_is_verified"] and t.document and t.releases),
        )
        by_passage, by_document = (
            ask(store, [row[name] for row in asked[:20]],
                lambda t: bool(t.rows.total == 1 and t.releases))
            for name in ("chunk_id", "doc_id")
        )  # fmt: skip
    return "\n".join(
        [
            "## Row lineage: from an id to all that is known of it",
            "",
            f"`python -m benchmarks.trace --rows {rows}`: {rows:,} rows in each of five tables and "
            f"in a release, {size / 1e6:,.0f} MB of Parquet, {len(asked)} random rows back to "
            "their documents, 20 of every other kind; every answer is checked; the process has "
            f"started before; load {os.getloadavg()[0]:.1f}.",
            "",
            "| question | median | longest | CPU each |",
            "| --- | ---: | ---: | ---: |",
            by_row.row("row to document, prompt, run, release"),
            by_beginning.row("the same by its first 12 digits"),
            by_passage.row("passage to rows and releases"),
            by_document.row("document to rows and releases"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of each table")
    print(measure(parser.parse_args().rows))


if __name__ == "__main__":
    main()
