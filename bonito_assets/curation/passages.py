"""The passages of a corpus at hand: their numbers by id, their texts by number, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

COLUMNS = ("chunk_id", "doc_id", "text")


class StaleTable(ValueError):
    """Two tables do not belong together; the message names the remedy."""


def found_in(ordered: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives the place of each wanted value in an ordered array, and whether it is there at all."""
    places = np.searchsorted(ordered, wanted)
    inside = places < len(ordered)
    places[~inside] = 0
    if not len(ordered):
        return places, inside
    return places, inside & (ordered[places] == wanted)


class OnDisk:
    """Rows in a file of the system, found by their number.

    The system hands them out at the speed of memory and takes the memory back when it is short.
    """

    def __init__(self, rows: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> None:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
        self._schema = schema
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def take(self, numbers: np.ndarray) -> pa.RecordBatch:
        """Gives the rows with these numbers, in the order of these."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        cuts = np.searchsorted(ordered, self._starts)
        pieces = [
            batch.take(pa.array(ordered[first:last] - start))
            for batch, start, first, last in zip(
                self._batches, self._starts[:-1], cuts[:-1], cuts[1:], strict=True
            )
            if last > first
        ]
        if not pieces:
            return pa.RecordBatch.from_pylist([], schema=self._schema)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_batches(pieces).take(pa.array(back))


class Passages:
    """The passages of a corpus, numbered in the order of `chunks`; some 30 bytes each are held.

    ``documents`` has a number per passage that those of one document share.
    """

    def __init__(self, chunks: Iterable[pa.RecordBatch], folder: Path) -> None:
        from bonito_assets.curation.keys import keys

        ids, documents = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]

        def texts() -> Iterator[pa.RecordBatch]:
            for batch in chunks:
                ids.append(keys(batch["chunk_id"]))
                documents.append(keys(batch["doc_id"]))
                yield pa.RecordBatch.from_arrays([batch["text"]], schema=schema)

        schema = pa.schema([("text", pa.string())])
        self._texts = OnDisk(texts(), schema, folder / "passages.arrow")
        self.documents = np.concatenate(documents).view(np.int64)
        found = np.concatenate(ids)
        self._order = np.argsort(found)
        self._ids = found[self._order]

    def numbers(self, chunk_ids: pa.Array) -> np.ndarray:
        """Gives the number of each passage named; raises ``StaleTable`` for one not there."""
        from bonito_assets.curation.keys import keys

        wanted = keys(chunk_ids)
        places, known = found_in(self._ids, wanted)
        if not known.all():
            missing = chunk_ids[int(np.argmin(known))]
            raise StaleTable(
                f"passage {missing} of the table tasks is not in the table chunks; materialize the "
                "assets 'generations' and 'tasks' first"
            )
        return self._order[places]

    def texts(self, numbers: np.ndarray) -> pa.Array:
        """Gives the texts of the passages with these numbers."""
        return self._texts.take(numbers)["text"]

    def of(self, chunk_ids: pa.Array) -> pa.DictionaryArray:
        """Gives the passage of each row, each distinct one once in the dictionary."""
        numbers, places = np.unique(self.numbers(chunk_ids), return_inverse=True)
        indices = pa.array(places.reshape(-1), pa.int32())
        return pa.DictionaryArray.from_arrays(indices, self.texts(numbers))
