"""Every output that was ever paid for, addressed by its request: append-only Parquet segments.

Layout: ``<root>/generation_cache/<writer>-<number>.parquet``. A segment is written under a
temporary name, flushed to disk and renamed, so that a killed step loses only what was in flight.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from resources.generator import Outcome
from resources.store import Store

if TYPE_CHECKING:
    import pyarrow.dataset as pads

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("output", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("mean_logprob", pa.float64()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
_FOLDER = "generation_cache"
# A segment costs about 2 ms; at these limits a crash loses a second or two of one card's work.
_MAX_ROWS = 256
_MAX_SECONDS = 5.0


class GenerationCache:
    """The segments under one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def look_up(self, keys: Sequence[str]) -> pa.Table:
        """Gives the cached rows of `keys`, each key once, the oldest output of each."""
        with self._store.connect() as connection:
            connection.register("wanted", pa.table({"key": pa.array(keys, pa.string())}))
            connection.register("cached", self._dataset())
            return connection.sql(
                """
                select * from cached semi join wanted using (key)
                qualify row_number() over (partition by key order by created_at, output) = 1
                """
            ).to_arrow_table()

    def _dataset(self) -> pads.Dataset | pa.Table:
        import pyarrow.dataset as pads  # brings pandas along: half a second for who needs none

        segments = self._store.segments(_FOLDER)
        if not segments:
            return SCHEMA.empty_table()
        return pads.dataset(segments, schema=SCHEMA, filesystem=self._store.filesystem)

    def writer(self) -> CacheWriter:
        """Opens a writer; closing it writes what is still in hand."""
        return CacheWriter(self._store)


class CacheWriter:
    """Collects outcomes and writes a segment every 256 rows or 5 seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = uuid.uuid4().hex
        self._number = 0
        self._rows: list[dict[str, object]] = []
        self._last_write = time.monotonic()

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(self, *_: object) -> None:
        # After an error too: what has been generated has been paid for.
        self.flush()

    def add(self, outcome: Outcome) -> None:
        """Takes one outcome that the model gave; refusals cost nothing and are not kept."""
        self._rows.append(
            {
                "key": outcome.key,
                "output": outcome.output,
                "finish_reason": outcome.finish_reason,
                "prompt_tokens": outcome.prompt_tokens,
                "output_tokens": outcome.output_tokens,
                "mean_logprob": outcome.mean_logprob,
                "created_at": datetime.now(UTC),
            }
        )
        overdue = time.monotonic() - self._last_write >= _MAX_SECONDS
        if len(self._rows) >= _MAX_ROWS or overdue:
            self.flush()

    def flush(self) -> None:
        """Writes what is in hand as one segment."""
        self._last_write = time.monotonic()
        if not self._rows:
            return
        segment = pa.Table.from_pylist(self._rows, schema=SCHEMA)
        with self._store.new_file(_FOLDER, f"{self._name}-{self._number:06d}.parquet") as file:
            pq.write_table(segment, file, compression="zstd", write_page_checksum=True)
        self._number += 1
        self._rows = []
