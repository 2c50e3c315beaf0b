"""Every output that was ever paid for, addressed by its request: append-only Parquet segments.

Layout: ``<root>/generation_cache/<created>-<rows>-<digest>.parquet``: the UTC time of the first
row to the microsecond (names sort by age), the number of rows, and the first 32 hex digits of the
file's SHA-256. A segment is written under a temporary name, flushed to disk and renamed, so that a
killed step loses only what was in flight. It is never changed: compaction publishes the merged
segment before it deletes the small ones, so at every moment each row is in at least one of them.
Segments of the first version (``<writer>-<number>.parquet``, fewer columns) are read as well.

A segment is damaged when its bytes do not give the digest in its name. It is set aside under
``<name>.damaged``, and what it held counts as missing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from resources.generator import Log, Outcome
from resources.store import DAY, Store

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("output", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("mean_logprob", pa.float64()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("rejected_because", pa.string()),
        ("model", pa.string()),
        ("task_type", pa.string()),
        ("run_id", pa.string()),
        ("sampling", pa.string()),
    ]
)
_ADDED_LATER = frozenset({"rejected_because", "model", "task_type", "run_id", "sampling"})
_FOLDER = "generation_cache"
_NAME = re.compile(r"\d{8}T\d{12}-(?P<rows>\d+)-(?P<digest>[0-9a-f]{32})\.parquet")
_KEY = re.compile(r"[0-9a-f]{32}")

# A segment costs a few milliseconds; at these limits a crash loses a second of one card's work.
_MAX_ROWS = 128
_MAX_SECONDS = 5.0

# More than 64 segments of one size class become segments of the next: 64 x 256 rows, 64 x 16k.
# From a million rows on a segment stays as it is.
_SIZE_CLASSES = ((0, 1 << 14), (1 << 14, 1 << 20))
_MAX_SEGMENTS = 64
# A writer merges its small segments after so many, so that a long run leaves few of them, however
# it ends. That takes a fraction of a second; a million rows would keep the engine waiting.
_MERGE_AFTER = 128
# A row group, about 1 MB, is what a lone row costs to read; larger ones make scattered rows dear,
# smaller ones the scan of all keys.
_GROUP_ROWS = 2048
_GROUPS_HELD = 8
_FILES_HELD = 32
_SPOOL_BYTES = 1 << 24

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

# The right-hand side of each join is what DuckDB builds its hash table of (see `_Segments.query`).
_HITS = "select position, location from cached join wanted using (high, low)"
_OLDEST = """
    select position, arg_min(location, row(output is null, created_at, output)) as location
    from cached join wanted using (high, low) group by position
"""
_FIRST = "select min(position) as position from wanted group by high, low"
_LENGTHS = """
    select task_type, count(output_tokens) as n, avg(output_tokens) as mean
    from cached join wanted using (model) where output_tokens is not null group by task_type
"""


class CacheDamaged(RuntimeError):
    """A cached row that was there a moment ago is gone; the message holds place and remedy."""


class GenerationCache:
    """The segments under one store. `log` takes a line when a damaged one is set aside."""

    def __init__(self, store: Store, log: Log = _LOG.warning) -> None:
        self._store = store
        self._segments = _Segments(store, log)

    def writer(self, run_id: str | None = None) -> CacheWriter:
        """Opens a writer for what the run `run_id` pays for.

        Closing it writes what is still in hand, after an error too.
        """
        return CacheWriter(self, run_id)

    def write(self, rows: pa.Table) -> None:
        """Appends `rows` of ``SCHEMA``, one at least, as one segment.

        It is on disk when the call returns.
        """
        self._segments.write([rows])

    def find(self, keys: Iterable[pa.Array | Sequence[str]], without_errors: bool = False) -> Found:
        """Gives what the cache holds of `keys`, which come in batches and may repeat.

        The batches are consumed as they come; 26 bytes per key stay in memory. `without_errors`
        passes over what the engine could not answer, so that it is asked for again. Raises
        ``ValueError`` for a key that is not 32 hexadecimal digits.
        """
        # Two rows of n words: the key as a 128-bit number is a fifth of its text in memory.
        words = np.concatenate([np.empty((2, 0), np.uint64), *map(_words, keys)], axis=1)
        return Found(self._segments, words, without_errors)

    def lengths(self, model: str) -> dict[str, tuple[int, float]]:
        """Gives number and mean tokens of the outputs of the model with fingerprint `model`.

        One entry per task type. Rows of the first version know no model and are not counted.
        """
        columns = ["model", "task_type", "output_tokens"]
        wanted = pa.table({"model": [model]})

        def ask(paths: list[str]) -> dict[str, tuple[int, float]]:
            cached = (
                batch
                for block in self._segments.blocks(paths)
                for batch in self._segments.read(block, columns).to_batches()
            )
            answers = self._segments.query(_LENGTHS, wanted, _schema(columns), cached)
            return {
                row["task_type"]: (row["n"], row["mean"])
                for batch in answers
                for row in batch.to_pylist()
            }

        return self._segments.steadily(ask)

    def forget(self, keys: Sequence[str]) -> int:
        """Deletes the rows of `keys`; gives how many there were.

        Each segment that holds one is written anew without it before the old one is deleted. A row
        that another process appends meanwhile stays.
        """
        unwanted = pa.array(sorted(set(keys)), pa.string())
        if not len(unwanted):
            return 0
        return self._segments.steadily(lambda paths: self._segments.without(paths, unwanted))

    def keys_of(
        self, columns: Sequence[str], chosen: Callable[[pa.Table], Iterable[str]]
    ) -> set[str]:
        """Gives the keys that `chosen` picks from `columns` of all rows, a row group at a time."""

        def ask(paths: list[str]) -> set[str]:
            read = functools.partial(self._segments.read, columns=columns)
            return {key for block in self._segments.blocks(paths) for key in chosen(read(block))}

        return self._segments.steadily(ask)

    def forget_damaged(self) -> int:
        """Deletes the segments that were set aside as damaged; gives how many there were."""
        filesystem = self._store.filesystem
        damaged = filesystem.glob(f"{url_to_fs(self._segments.folder)[1]}/*.damaged")
        for path in damaged:
            filesystem.rm_file(path)
        return len(damaged)

    def check(self) -> Iterator[tuple[str, bool]]:
        """Gives the path of each segment and whether its bytes are what was written; only looks."""
        for path in self._segments.paths():
            with contextlib.suppress(FileNotFoundError):  # merged into another meanwhile
                yield path, self._segments.is_sound(path)

    def compact(self) -> None:
        """Merges small segments where there are many; sweeps what killed writers left behind.

        Safe at any time: beside writers, readers and other compactions, and killed anywhere.
        Rows that a kill leaves in two segments are found once all the same.
        """
        for size_class in _SIZE_CLASSES:
            self._segments.steadily(functools.partial(self._merge_class, *size_class))
        self._store.sweep(_FOLDER, older_than=DAY)

    def merge_smallest(self) -> None:
        """Does the part of a compaction that takes a fraction of a second."""
        self._segments.steadily(functools.partial(self._merge_class, *_SIZE_CLASSES[0]))

    def _merge_class(self, least: int, limit: int, paths: list[str]) -> None:
        sizes = {path: self._segments.rows(path) for path in paths}
        small = {path: rows for path, rows in sizes.items() if least <= rows < limit}
        if len(small) <= _MAX_SEGMENTS:
            return
        # The running total decides, so that neighbours in age come together, up to the limit.
        groups: list[list[str]] = []
        total = limit
        for path, rows in small.items():
            if total >= limit:
                groups.append([])
                total = 0
            groups[-1].append(path)
            total += rows
        for group in groups:
            if len(group) > 1:
                self._segments.merge(group)


class CacheWriter:
    """Collects outcomes and writes a segment every 128 rows or 5 seconds."""

    def __init__(self, cache: GenerationCache, run_id: str | None) -> None:
        self._cache = cache
        self._run_id = run_id
        self._rows: list[dict[str, object]] = []
        self._segments = 0
        self._last_write = time.monotonic()

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(self, *_: object) -> None:
        # After an error too: what has been generated has been paid for.
        self.flush()

    def add(
        self, outcome: Outcome, *, model: str, task_type: str, sampling: str | None = None
    ) -> None:
        """Takes one outcome of the model with fingerprint `model`.

        `sampling` are the parameters that it was drawn with, as JSON. Kept are outputs, and the
        verdict ``engine_error``, so that a request that the engine cannot answer is not tried at
        every refresh; other refusals cost nothing and are passed over. Raises ``ValueError`` for a
        key that is not 32 lower-case hexadecimal digits.
        """
        if outcome.rejected_because not in (None, "engine_error"):
            return
        if not _KEY.fullmatch(outcome.key):
            raise ValueError(f"cache key {outcome.key!r} is not 32 lower-case hexadecimal digits")
        self._rows.append(
            {
                "key": outcome.key,
                "output": outcome.output,
                "finish_reason": outcome.finish_reason,
                "prompt_tokens": outcome.prompt_tokens,
                "output_tokens": outcome.output_tokens,
                "mean_logprob": outcome.mean_logprob,
                "created_at": datetime.now(UTC),
                "rejected_because": outcome.rejected_because,
                "model": model,
                "task_type": task_type,
                "run_id": self._run_id,
                "sampling": sampling,
            }
        )
        # Counted from the last write, not from the oldest row: what comes slowly is written at
        # once instead of waiting for a second row.
        overdue = time.monotonic() - self._last_write >= _MAX_SECONDS
        if len(self._rows) >= _MAX_ROWS or overdue:
            self.flush()

    def flush(self) -> None:
        """Writes what is in hand as one segment, which is on disk when the call returns."""
        self._last_write = time.monotonic()
        if not self._rows:
            return
        self._cache.write(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._rows = []
        self._segments += 1
        if self._segments % _MERGE_AFTER == 0:
            self._cache.merge_smallest()


class Found:
    """What the cache holds of a sequence of keys, as it was when it was asked.

    ``present`` tells for each key whether a row is cached; ``missing`` is true at the first
    occurrence of each key that is not. Both are arrays of bool in the order of the keys.
    """

    present: np.ndarray
    missing: np.ndarray

    def __init__(self, segments: _Segments, keys: np.ndarray, without_errors: bool) -> None:
        self._segments = segments
        self._filter = ["rejected_because"] if without_errors else []
        self._keys = keys
        self._blocks, self._location = segments.steadily(self._locate)
        self.present = self._location >= 0
        self.missing = self._first_of_absent()
        self._held = functools.lru_cache(_GROUPS_HELD)(self._whole_block)

    def again(self) -> Found:
        """Gives what the cache holds of the same keys now, errors included."""
        return Found(self._segments, self._keys, without_errors=False)

    def keys(self, start: int, stop: int) -> list[str]:
        """Gives the keys from `start` to before `stop`."""
        text = np.ascontiguousarray(self._keys[:, start:stop].T).tobytes().hex()
        return [text[place : place + 32] for place in range(0, len(text), 32)]

    def rows(self, start: int, stop: int) -> pa.Table:
        """Gives the cached rows of the keys from `start` to before `stop`, in that order.

        One row of ``SCHEMA`` per key, all null where none is cached. Row groups that were used
        last are kept, so rising ranges of keys that were generated together read each row group
        about once; keys in another order cost up to a row group each. Raises ``CacheDamaged``
        when a row was damaged after it was found.
        """
        while True:
            try:
                return self._gather(start, stop)
            except FileNotFoundError:  # merged into another segment meanwhile
                self._relocate()
            except _Damaged as damage:  # another segment may hold a copy
                self._segments.set_aside(damage.paths)
                self._relocate()

    def _locate(self, paths: list[str]) -> tuple[list[_Block], np.ndarray]:
        """Gives the blocks of `paths`, and the place of each key's oldest row in them, or -1.

        A place is the number of the block times 2^32 plus the row in the block.
        """
        blocks: list[_Block] = []
        location = np.full(self._keys.shape[1], -1, np.int64)
        doubled = np.zeros(len(location), np.bool_)
        in_doubt: set[int] = set()
        numbered = _noted(self._segments.blocks(paths), blocks)
        for position, place in self._hits(_HITS, None, numbered):
            before = location[position]
            location[position] = place
            after = location[position]  # of two places in one batch only one has stayed
            twice = (before >= 0) | (after != place)
            doubled[position[twice]] = True
            in_doubt |= _block_numbers(before[twice], place[twice], after[twice])
        if in_doubt:
            # Rare, so only these rows pay for reading what decides between them.
            rivals = ((number, blocks[number]) for number in sorted(in_doubt))
            columns = ["created_at", "output"]
            for position, place in self._hits(_OLDEST, np.flatnonzero(doubled), rivals, columns):
                location[position] = place
        self._segments.verify({blocks[number].path for number in _block_numbers(location)})
        return blocks, location

    def _hits(
        self,
        sql: str,
        positions: np.ndarray | None,
        blocks: Iterable[tuple[int, _Block]],
        columns: Sequence[str] = (),
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Gives positions among the keys, and places of cached rows, that belong together."""
        places = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("location", pa.int64())])
        schema = pa.unify_schemas([places, _schema(columns)])
        cached = (self._entries(number, block, columns, schema) for number, block in blocks)
        for batch in self._segments.query(sql, self._wanted(positions), schema, cached):
            yield batch["position"].to_numpy(), batch["location"].to_numpy()

    def _entries(
        self, number: int, block: _Block, columns: Sequence[str], schema: pa.Schema
    ) -> pa.RecordBatch:
        table = self._segments.read(block, ["key", *columns, *self._filter]).combine_chunks()
        with self._segments.guarding(block.path):
            high, low = _words(table["key"])
        place = (number << 32) + np.arange(len(high))
        others = [table[name].combine_chunks() for name in columns]
        entries = pa.record_batch([pa.array(high), pa.array(low), pa.array(place), *others], schema)
        for verdict in self._filter:
            entries = entries.filter(table[verdict].is_null().combine_chunks())
        return entries

    def _wanted(self, positions: np.ndarray | None) -> pa.Table:
        if positions is None:
            positions, (high, low) = np.arange(self._keys.shape[1]), self._keys
        else:
            high, low = self._keys[:, positions]
        return pa.table({"high": high, "low": low, "position": positions})

    def _first_of_absent(self) -> np.ndarray:
        first = np.zeros(len(self.present), np.bool_)
        for batch in self._segments.query(_FIRST, self._wanted(np.flatnonzero(~self.present))):
            first[batch["position"].to_numpy()] = True
        return first

    def _relocate(self) -> None:
        self._held.cache_clear()
        self._blocks, location = self._segments.steadily(self._locate)
        lost = np.count_nonzero(self.present & (location < 0))
        if lost:
            raise CacheDamaged(
                f"{self._segments.folder}: {lost:,} cached rows were damaged while they were "
                "read and have been set aside; refresh again to generate them anew"
            )
        # What was written since then is not part of this answer.
        self._location = np.where(self.present, location, -1)

    def _whole_block(self, number: int) -> pa.Table:
        return self._segments.read(self._blocks[number], SCHEMA.names)

    def _gather(self, start: int, stop: int) -> pa.Table:
        location = self._location[start:stop]
        found = np.flatnonzero(location >= 0)
        # By place, so that each row group is read once and from front to back.
        found = found[np.argsort(location[found], kind="stable")]
        number, row = location[found] >> 32, location[found] & 0xFFFFFFFF
        numbers, starts = np.unique(number, return_index=True)
        stops = [*starts[1:], len(found)]
        pieces = [SCHEMA.empty_table()]
        for block, here in zip(numbers.tolist(), map(slice, starts, stops), strict=False):
            pieces.append(self._checked(block, row[here], self._keys[:, start + found[here]]))
        source = np.full(len(location), -1, np.int64)
        source[found] = np.arange(len(found))
        return pa.concat_tables(pieces).combine_chunks().take(pa.array(source, mask=source < 0))

    def _checked(self, number: int, rows: np.ndarray, keys: np.ndarray) -> pa.Table:
        path = self._blocks[number].path
        with self._segments.guarding(path):
            table = self._held(number).take(pa.array(rows))
            if not np.array_equal(_words(table["key"]), keys):
                raise ValueError(f"{path}: holds other keys than a moment ago")
        return table


class _Block(NamedTuple):
    """One row group of one segment."""

    path: str
    group: int


class _Damaged(Exception):
    """Segments whose bytes are not what was written."""

    def __init__(self, paths: Iterable[str]) -> None:
        super().__init__(", ".join(paths))
        self.paths = list(paths)


class _Segments:
    """The folder of segments: reads, verifies, writes, merges, sets aside."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._verified: set[str] = set()
        # Opening costs a footer to parse; a file that is held open is also still readable when a
        # compaction has deleted it.
        self._file = functools.lru_cache(_FILES_HELD)(self._open)

    @property
    def folder(self) -> str:
        return self._store.uri(_FOLDER)

    def paths(self) -> list[str]:
        """Gives the paths of all segments, oldest first."""
        # Object stores remember listings; other machines write here too.
        self._store.filesystem.invalidate_cache()
        return self._store.segments(_FOLDER)

    def steadily(self, read: Callable[[list[str]], _T]) -> _T:
        """Gives what `read` makes of the segments, in spite of damage and of other compactions."""
        while True:
            paths = self.paths()
            try:
                return read(paths)
            except FileNotFoundError:
                if self.paths() == paths:
                    raise
            except _Damaged as damage:
                self.set_aside(damage.paths)

    # Reading

    def rows(self, path: str) -> int:
        """Gives the number of rows of a segment."""
        name = _parsed(path)
        return int(name["rows"]) if name else self._file(path).metadata.num_rows

    def blocks(self, paths: Iterable[str]) -> Iterator[_Block]:
        """Gives the row groups of `paths`."""
        for path in paths:
            for group in range(self._file(path).num_row_groups):
                yield _Block(path, group)

    def read(self, block: _Block, columns: Sequence[str]) -> pa.Table:
        """Gives `columns` of one row group; what the first version did not have is null."""
        file = self._file(block.path)
        with self.guarding(block.path):
            return _read_group(file, block.group, columns)

    def verify(self, paths: Iterable[str]) -> None:
        """Raises ``_Damaged`` unless the bytes of each segment are what was written.

        Each is looked at once; later reads still check the checksum of every page.
        """
        unknown = sorted(set(paths) - self._verified)
        sound = [path for path in unknown if self.is_sound(path)]
        self._verified.update(sound)
        if len(sound) < len(unknown):
            raise _Damaged(sorted(set(unknown) - set(sound)))

    @contextlib.contextmanager
    def guarding(self, path: str) -> Iterator[None]:
        """Turns an error while a segment is read into ``_Damaged``, but only if it is damaged.

        A disk or network that fails for a moment must not cost a good segment.
        """
        try:
            yield
        except (FileNotFoundError, _Damaged):
            raise
        except Exception as error:  # a reader of damaged bytes may fail in any way
            if self.is_sound(path):
                raise
            raise _Damaged([path]) from error

    def _open(self, path: str) -> pq.ParquetFile:
        with self.guarding(path):
            file = pq.ParquetFile(
                path, filesystem=self._store.filesystem, page_checksum_verification=True
            )
            name = _parsed(path)
            if name and file.metadata.num_rows != int(name["rows"]):
                raise ValueError(f"{path}: holds {file.metadata.num_rows:,} rows")
            return file

    def is_sound(self, path: str) -> bool:
        """Tells whether the bytes of a segment are what was written."""
        name = _parsed(path)
        with self._store.filesystem.open(path, "rb") as file:
            if name:
                return hashlib.file_digest(file, "sha256").hexdigest()[:32] == name["digest"]
            content = pa.BufferReader(file.read())
        try:  # the first version's names hold no digest, but its pages have checksums
            segment = pq.ParquetFile(content, page_checksum_verification=True)
            for group in range(segment.num_row_groups):
                _read_group(segment, group, SCHEMA.names)
        except Exception:
            return False
        return True

    def set_aside(self, paths: Iterable[str]) -> None:
        """Renames damaged segments, so that they are neither read nor deleted."""
        self._file.cache_clear()
        self._verified.difference_update(paths)
        for path in paths:
            # Another process may have been faster.
            with contextlib.suppress(FileNotFoundError):
                self._store.filesystem.mv(path, f"{path}.damaged")
                self._log(
                    f"{path} is damaged and was set aside as {path}.damaged; "
                    "what it held is generated again"
                )

    def query(
        self,
        sql: str,
        wanted: pa.Table,
        schema: pa.Schema | None = None,
        cached: Iterable[pa.RecordBatch] = (),
    ) -> Iterator[pa.RecordBatch]:
        """Gives the answer of DuckDB to `sql` over ``wanted`` and the stream ``cached``."""
        errors: list[Exception] = []

        def stream() -> Iterator[pa.RecordBatch]:
            try:
                yield from cached
            except Exception as error:  # DuckDB would pass on its words only
                errors.append(error)

        # The size of a stream is unknown: left alone, DuckDB may build its hash table of it.
        options = {"disabled_optimizers": "join_order,build_side_probe_side"}
        with self._store.connect(**options) as connection:
            connection.register("wanted", wanted)
            if schema is not None:
                reader = pa.RecordBatchReader.from_batches(schema, stream())
                connection.register("cached", reader)
            yield from connection.sql(sql).to_arrow_reader(1 << 16)
        if errors:
            raise errors[0]

    # Writing

    def write(self, tables: Iterable[pa.Table]) -> str:
        """Publishes `tables`, a row group each, as one segment; gives its name."""
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            created, rows = None, 0
            options = {"compression": "zstd", "write_page_checksum": True}
            with pq.ParquetWriter(spool, SCHEMA, **options) as writer:
                for table in tables:
                    created = created or table["created_at"][0].as_py()
                    rows += table.num_rows
                    writer.write_table(table)
            spool.seek(0)
            digest = hashlib.file_digest(spool, "sha256").hexdigest()[:32]
            name = f"{created:%Y%m%dT%H%M%S%f}-{rows}-{digest}.parquet"
            spool.seek(0)
            with self._store.new_file(_FOLDER, name) as file:
                shutil.copyfileobj(spool, file)
        return name

    def merge(self, paths: Sequence[str]) -> None:
        """Replaces `paths` by one segment that holds their rows in that order."""
        self.verify(paths)
        tables = (self.read(block, SCHEMA.names) for block in self.blocks(paths))
        merged = self.write(_grouped(tables))
        for path in paths:
            if PurePosixPath(path).name != merged:
                with contextlib.suppress(FileNotFoundError):
                    self._store.filesystem.rm_file(path)
        self._file.cache_clear()

    def without(self, paths: Sequence[str], keys: pa.Array) -> int:
        """Takes the rows of `keys` out of `paths`; gives how many there were."""
        gone = 0
        for path in paths:
            held = [self.read(block, ["key"])["key"] for block in self.blocks([path])]
            hits = sum(pc.sum(pc.is_in(chunk, keys)).as_py() or 0 for chunk in held)
            if not hits:
                continue
            self.verify([path])
            tables = (self.read(block, SCHEMA.names) for block in self.blocks([path]))
            kept = (t.filter(pc.invert(pc.is_in(t["key"], keys))) for t in tables)
            if hits < sum(len(chunk) for chunk in held):
                self.write(table for table in kept if table.num_rows)
            self._store.filesystem.rm_file(path)
            gone += hits
        self._file.cache_clear()
        return gone


def _parsed(path: str) -> re.Match[str] | None:
    """Gives rows and digest out of a segment's name; the first version's names hold neither."""
    return _NAME.fullmatch(PurePosixPath(path).name)


def _schema(columns: Iterable[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in columns])


def _read_group(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> pa.Table:
    there = file.schema_arrow.names
    absent = [name for name in columns if name in _ADDED_LATER and name not in there]
    stored = [name for name in columns if name not in absent]
    table = file.read_row_group(group, columns=stored, use_threads=False)
    for name in absent:
        table = table.append_column(name, pa.nulls(table.num_rows, SCHEMA.field(name).type))
    return table.select(columns).cast(_schema(columns))


def _words(keys: pa.Array | pa.ChunkedArray | Sequence[str]) -> np.ndarray:
    """Gives keys of 32 hexadecimal digits as numbers of 128 bits: two words each, shape (2, n)."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    array = keys if isinstance(keys, pa.Array) else pa.array(keys, pa.string())
    try:
        if array.null_count:
            raise ValueError("a key is null")
        digits = array.cast(pa.binary(32))
        start = digits.offset * 32
        text = digits.buffers()[1][start : start + len(array) * 32].to_pybytes().decode("ascii")
        return np.frombuffer(bytes.fromhex(text), np.uint64).reshape(len(array), 2).T
    except ValueError as error:
        bad = next((key for key in array.to_pylist() if not _KEY.fullmatch(key or "")), None)
        raise ValueError(f"cache key {bad!r} is not 32 lower-case hexadecimal digits") from error


def _block_numbers(*places: np.ndarray) -> set[int]:
    together = np.concatenate(places)
    return set(np.unique(together[together >= 0] >> 32).tolist())


def _noted(blocks: Iterable[_Block], into: list[_Block]) -> Iterator[tuple[int, _Block]]:
    """Numbers `blocks` and keeps them in `into`."""
    for number, block in enumerate(blocks):
        into.append(block)
        yield number, block


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Gives the rows of `tables` in tables of some 2,048 rows."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(member.num_rows for member in held) >= _GROUP_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
