"""The books of a table: rows, verdicts and ids, counted as the rows pass by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from resources.store import rebatched

_SAMPLE_ROWS = 5


class Books:
    """What is known of a table once its rows have gone through: counts, and a few of its rows.

    Eight bytes per row are kept, so that a table that does not fit into memory has books too.
    """

    def __init__(self, schema: pa.Schema, id_column: str) -> None:
        self.rows = 0
        self._counts: Counter[str | None] = Counter()
        self._id_column = id_column
        self._ids: list[np.ndarray] = []
        self._sample = schema.empty_table()

    @classmethod
    def of(cls, data: pa.Table, id_column: str) -> Books:
        """Gives the books of a whole table."""
        books = cls(data.schema, id_column)
        for _ in books.passing(rebatched(data)):
            pass
        return books

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hands `batches` on, each entered into the books."""
        for batch in batches:
            self.rows += batch.num_rows
            for entry in batch["rejected_because"].value_counts().to_pylist():
                self._counts[entry["values"]] += entry["counts"]
            # 64 bits of a digest: two of ten million rows share them once in 400,000 tables.
            ids = [int(value[:16], 16) for value in batch[self._id_column].to_pylist()]
            self._ids.append(np.array(ids, np.uint64))
            if self._sample.num_rows < _SAMPLE_ROWS:
                accepted = batch.filter(batch["rejected_because"].is_null())
                wanted = accepted.slice(0, _SAMPLE_ROWS - self._sample.num_rows)
                self._sample = pa.concat_tables([self._sample, pa.Table.from_batches([wanted])])
            yield batch

    @property
    def verdicts(self) -> dict[str, int]:
        """Gives the rows per verdict, most frequent first; accepted rows under ``accepted``."""
        counts = {code or "accepted": n for code, n in self._counts.items()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def accepted(self) -> int:
        """Gives the number of rows without a reason against them."""
        return self._counts[None]

    @property
    def doubled(self) -> int:
        """Gives the number of rows whose id another row has too."""
        return self.rows - len(np.unique(np.concatenate(self._ids))) if self._ids else 0

    @property
    def sample(self) -> pa.Table:
        """Gives the first accepted rows."""
        return self._sample
