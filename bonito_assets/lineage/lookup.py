"""Rows by their ids, out of Parquet files of any size, without reading their texts.

Ids are digests, so nothing orders a file by them. But one column of them is a small part of it, of
which a million take a tenth of a second; where the ids stand is then all that is read of the
others. It works on whatever ``fsspec`` opens.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from resources.store import Store

# A digit follows no 'f', so this stands after every id that begins as a prefix does.
_AFTER_ALL_DIGITS = "g"


class RowFile:
    """One Parquet file in which rows are looked up; `corpus` is the name that it goes by."""

    def __init__(self, store: Store, path: str, corpus: str) -> None:
        self._store, self.path, self.corpus = store, path, corpus

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, filesystem=self._store.filesystem)

    @cached_property
    def _starts(self) -> list[int]:
        """Gives the number of the first row of each row group, and the number of all rows."""
        starts = [0]
        for group in range(self._file.num_row_groups):
            starts.append(starts[-1] + self._file.metadata.row_group(group).num_rows)
        return starts

    @property
    def columns(self) -> list[str]:
        """Gives the names of the columns."""
        return self._file.schema_arrow.names

    def beginning_with(self, column: str, prefix: str) -> set[str]:
        """Gives the ids in `column` that begin with `prefix`, two at most."""
        found: set[str] = set()
        for _, ids in self._groups(column):
            hits = ids.filter(
                pc.and_(pc.greater_equal(ids, prefix), pc.less(ids, prefix + _AFTER_ALL_DIGITS))
            )
            found.update(hits.to_pylist())
            if len(found) > 1:
                return set(sorted(found)[:2])
        return found

    def holds(self, column: str, value: str) -> bool:
        """Tells whether an id stands in `column`."""
        return self.place(column, value) is not None

    def place(self, column: str, value: str, near: float = 0.5) -> int | None:
        """Gives the number of the first row that is found with `value` in `column`, or None.

        `near` says where to begin, from 0 at the first row to 1 at the last.
        """
        for group, ids in self._groups(column, near):
            at = pc.index(ids, value).as_py()
            if at >= 0:
                return self._starts[group] + at
        return None

    def places(self, column: str, values: Collection[str]) -> list[int]:
        """Gives the numbers of all rows that have one of `values` in `column`, in order."""
        wanted = pa.array(sorted(values), pa.string())
        found: list[int] = []
        for group, ids in self._groups(column):
            hits = pc.indices_nonzero(pc.is_in(ids, wanted))
            found += [self._starts[group] + at for at in hits.to_pylist()]
        return sorted(found)

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Gives `columns` of the rows at `places`, which rise; null where the file has no such."""
        stored = [name for name in columns if name in self.columns]
        found: list[dict[str, Any]] = []
        for group in range(self._file.num_row_groups):
            first, after = self._starts[group : group + 2]
            here = [place - first for place in places if first <= place < after]
            if here:
                read = self._file.read_row_group(group, columns=stored, use_threads=False)
                found += read.take(pa.array(here, pa.int64())).to_pylist()
        return [{name: row.get(name) for name in columns} for row in found]

    def row(self, place: int, columns: Sequence[str]) -> dict[str, Any]:
        """Gives `columns` of one row."""
        return self.rows([place], columns)[0]

    def share(self, place: int) -> float:
        """Gives how far into the file a row stands, from 0 to 1."""
        return place / max(1, self._starts[-1])

    def _groups(self, column: str, near: float = 0.0) -> Iterator[tuple[int, pa.ChunkedArray]]:
        """Gives number and values of `column` of each row group, those `near` a place first."""
        if column not in self.columns:
            return
        middle = near * self._file.num_row_groups
        for group in sorted(range(self._file.num_row_groups), key=lambda g: abs(g + 0.5 - middle)):
            read = self._file.read_row_group(group, columns=[column], use_threads=False)
            yield group, read[column]


def table_files(store: Store, table: str) -> list[RowFile]:
    """Gives the file of `table` of each corpus that has one."""
    paths = sorted(store.filesystem.glob(store.table_path(table, "*")))
    return [RowFile(store, path, path.split("/")[-2].partition("=")[2]) for path in paths]


def table_file(store: Store, table: str, corpus: str) -> RowFile | None:
    """Gives the file of `table` of one corpus, or None where it has not been made."""
    if not store.exists(table, corpus):
        return None
    return RowFile(store, store.table_path(table, corpus), corpus)


def published_files(store: Store, pattern: str) -> list[str]:
    """Gives the paths of published files under the root, without what is half written."""
    filesystem, path = url_to_fs(store.uri(pattern))
    depth = pattern.count("/") + 1
    return sorted(
        found
        for found in filesystem.glob(path)
        if not any(part.startswith(".") for part in found.split("/")[-depth:])
    )


def read_json(store: Store, path: str) -> dict[str, Any]:
    """Gives the content of a JSON file under the root."""
    return json.loads(store.filesystem.cat_file(path))
