"""Side tables of curation: what was worked out of a row once is not worked out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from bonito_assets.curation.passages import found_in
from resources.store import Store

# Rows of one key are equal, and so is what is worked out of them.
Work = Callable[[np.ndarray], pa.RecordBatch]


class Remembered:
    """The rows of a side table of the last refresh by their ``row_key``.

    Those of other `rules` are forgotten. The table is held in memory; the new one is not.
    """

    def __init__(self, store: Store, table: str, corpus: str, rules: str) -> None:
        self._table: pa.Table | None = None
        keys = np.empty(0, np.uint64)
        if store.stamps(table, corpus).get("made_from", "").startswith(rules):
            held = store.read(table, corpus)
            self._table = held
            keys = held["row_key"].to_numpy()
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
