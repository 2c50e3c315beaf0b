"""Side tables of curation: what was worked out of a row once is not worked out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.curation.passages import found_in
from resources.store import Store

Log = Callable[[str], None]
# Rows of one key are equal, and so is what is worked out of them.
Work = Callable[[np.ndarray], pa.RecordBatch]


def sound_stamp(store: Store, table: str, corpus: str, schema: pa.Schema, log: Log) -> str:
    """Gives what a side table was made from; "" where there is none that can be relied on.

    One that is damaged, or has other columns, is deleted: it holds nothing that cannot be worked
    out again, and what is wrong in it would become wrong verdicts. So it is read once as a whole,
    with the checksums of its pages.
    """
    path = store.table_path(table, corpus)
    if not store.filesystem.exists(path):
        return ""
    try:
        with store.filesystem.open(path, "rb") as file:
            reader = pq.ParquetFile(file, page_checksum_verification=True)
            if reader.schema_arrow.equals(schema):
                for _ in reader.iter_batches():
                    pass
                return store.stamps(table, corpus).get("made_from", "")
        log(f"{table}: its columns are those of another version; it is made anew")
    except (pa.ArrowException, OSError) as error:
        log(f"warning: {table}: the file is damaged ({str(error).strip()}); it is made anew")
    store.filesystem.rm(path, recursive=True)
    return ""


class Remembered:
    """The rows of a side table of the last refresh by their ``row_key``, or of none.

    The table is held in memory; the new one is not.
    """

    def __init__(self, last: pa.Table | None) -> None:
        self._table = last
        keys = np.empty(0, np.uint64) if last is None else last["row_key"].to_numpy()
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self.worked_out = 0

    def batch(self, keys: np.ndarray, work: Work) -> pa.RecordBatch:
        """Gives the rows of the side table for `keys`.

        What is not remembered comes from `work`, which is given the places of those rows.
        """
        places, known = found_in(self._keys, keys)
        missing = np.flatnonzero(~known)
        self.worked_out += len(missing)
        if not known.any():
            return work(missing)
        assert self._table is not None
        old = self._table.take(pa.array(self._order[places[known]]))
        if not len(missing):
            return _one(old)
        both = pa.concat_tables([old, pa.Table.from_batches([work(missing)])])
        back = np.empty(len(keys), np.int64)
        back[np.concatenate((np.flatnonzero(known), missing))] = np.arange(len(keys))
        return _one(both.take(pa.array(back)))


def _one(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def collected(
    batches: Iterable[pa.RecordBatch], rows: int, size: int = 32 << 20
) -> Iterator[pa.RecordBatch]:
    """Gives the rows of `batches` in larger ones, of about so many rows or bytes at most.

    A call costs about as much as a hundred rows, so that small batches would be slow.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= rows or sum(b.nbytes for b in held) >= size:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


class Along:
    """A table that is read beside another, so many rows at a time."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._coming = iter(batches)
        self._held: pa.RecordBatch | None = None

    def take(self, rows: int) -> pa.RecordBatch | None:
        """Gives the next `rows` rows, at least one; None where the table has fewer."""
        pieces = []
        while rows:
            while self._held is None or not self._held.num_rows:
                self._held = next(self._coming, None)
                if self._held is None:
                    return None
            pieces.append(self._held.slice(0, rows))
            rows -= pieces[-1].num_rows
            self._held = self._held.slice(pieces[-1].num_rows)
        return pa.concat_batches(pieces)
