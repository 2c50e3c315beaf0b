"""Parquet tables under one root, written atomically, with DuckDB as the engine over them.

Layout: ``<root>/<table>/corpus=<corpus>/data.parquet``, one file per table and corpus. A reader
sees the old table or the new one: a file is written under a temporary name, flushed to disk and
renamed. Folders (datasets, adapters, reports) are published the same way. In a Dagster run each
publish is checked: only one run at a time writes a corpus (see ``resources.one_writer``).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import dagster as dg
import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import PrivateAttr

from resources.checksums import SUMS, SummedFile, write_sums
from resources.one_writer import Writer, end_with_run_worker

# Rows that are held at once where a table streams: a few megabytes of passages or outputs. What is
# read is soon Python objects too, which take several times the space.
BATCH_ROWS = 2048
_READ_ROWS = 1024
# Columns of which hardly two values are equal.
_UNIQUE = frozenset(
    {"text", "input", "output", "uri", "content_sha256", "text_digest", "request_key"}
)
# A half-written file this old (in seconds) is nobody's work in progress.
DAY = 86_400.0
# Nobody fills a folder for longer: Bonito's own training, the longest there is, takes four days.
_LONGEST_FOLDER = 14 * DAY


class TableMissing(FileNotFoundError):
    """A table was asked for that has not been made yet; the message names the remedy."""


@dataclass(frozen=True)
class Written:
    """What a write left behind: place, rows, bytes and the digest of the content."""

    uri: str
    rows: int
    bytes: int
    digest: str


class Store(dg.ConfigurableResource):
    """Where tables and models live: a local folder or any fsspec URL."""

    root: str
    memory_limit: str = "4GB"
    _writer: Writer | None = PrivateAttr(default=None)
    # Where this store put copies of what lies in a remote root.
    _copies: list[str] = PrivateAttr(default_factory=list)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Binds the store to the run: from now on it publishes only while the run is the writer.

        The corpus is claimed when the step first uses the store, and not here: what a resource
        raises counts in Dagster as a fault of the whole run, which it would start again.
        """
        if context.run is None or context.instance is None:
            return
        end_with_run_worker()
        folder = self._path(".writers")
        self._writer = Writer(self.filesystem, folder, context.run, context.instance)

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """Gives the filesystem that the root lies in."""
        return fsspec.core.url_to_fs(self.root)[0]

    @property
    def is_local(self) -> bool:
        """Tells whether the root is a folder of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def _path(self, *parts: str) -> str:
        """Gives the path inside the filesystem of a place under the root.

        Every use of the store comes by here, so this is where a run takes its turn.
        """
        if self._writer is not None:
            self._writer.take_turn()
        return "/".join([fsspec.core.url_to_fs(self.root)[1].rstrip("/"), *parts])

    def write_for(self, corpus: str) -> None:
        """Claims `corpus` for a run that is of no partition; what it writes is checked by that.

        Raises ``SecondWriter`` while another run of it is under way.
        """
        if self._writer is not None:
            self._writer.write_for(corpus)
            self._writer.take_turn()

    def _publishing(self, *scopes: str) -> contextlib.AbstractContextManager[None]:
        """Lets the block publish unless the run was superseded; anybody may outside a run."""
        if self._writer is None:
            return contextlib.nullcontext()
        return self._writer.publishing(*scopes)

    def uri(self, *parts: str) -> str:
        """Gives the address of a place under the root, as a person would type it."""
        return "/".join([self.root.rstrip("/"), *parts])

    # Tables

    def table_path(self, table: str, corpus: str) -> str:
        """Gives the path of the Parquet file of `table` for `corpus` inside the filesystem."""
        return self._path(table, f"corpus={corpus}", "data.parquet")

    def exists(self, table: str, corpus: str) -> bool:
        """Tells whether `table` has been made for `corpus`."""
        return self.filesystem.exists(self.table_path(table, corpus))

    def read(self, table: str, corpus: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Gives `table` of `corpus`; raises ``TableMissing`` when it has not been made."""
        with self._open(table, corpus) as file:
            return pq.ParquetFile(file).read(columns=list(columns) if columns else None)

    def _open(self, table: str, corpus: str) -> IO[bytes]:
        path = self.table_path(table, corpus)
        try:
            return self.filesystem.open(path, "rb")
        except FileNotFoundError as error:
            raise TableMissing(
                f"{path}: table '{table}' of corpus '{corpus}' is not there yet; "
                f"materialize the asset '{table}' first"
            ) from error

    def batches(
        self, table: str, corpus: str, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Gives `table` of `corpus` in stretches of at most 1,024 rows, so that memory stays flat.

        Raises ``TableMissing`` when it has not been made.
        """
        wanted = list(columns) if columns else None
        with self._open(table, corpus) as file:
            reader = pq.ParquetFile(file, pre_buffer=False)
            # One row group at a time: a writer keeps those small where the rows are large.
            for group in range(reader.num_row_groups):
                yield from reader.iter_batches(_READ_ROWS, row_groups=[group], columns=wanted)

    def stamps(self, table: str, corpus: str) -> dict[str, str]:
        """Gives what stands in the footer of `table`: ``digest`` of its content, ``made_from``.

        It is empty when there is no such table, or a damaged one.
        """
        if not self.exists(table, corpus):
            return {}
        try:
            with self._open(table, corpus) as file:
                found = pq.ParquetFile(file).metadata.metadata or {}
        except pa.ArrowInvalid:
            return {}
        names = ("digest", "made_from")
        return {n: found[key].decode() for n in names if (key := f"bonito.{n}".encode()) in found}

    def written(self, table: str, corpus: str) -> Written | None:
        """Gives what is known of `table` of `corpus` without reading it.

        It is None when there is no such table, or a damaged one.
        """
        if not self.exists(table, corpus):
            return None
        path = self.table_path(table, corpus)
        try:
            with self._open(table, corpus) as file:
                rows = pq.ParquetFile(file).metadata.num_rows
        except pa.ArrowInvalid:
            return None
        place = self.uri(table, f"corpus={corpus}", "data.parquet")
        digest_of_it = self.stamps(table, corpus).get("digest", "")
        return Written(place, rows, self.filesystem.size(path), digest_of_it)

    def write(self, table: str, corpus: str, data: pa.Table) -> Written:
        """Replaces `table` of `corpus` in one step; the old table stays if writing fails."""
        return self.write_batches(table, corpus, data.schema, rebatched(data))

    def write_batches(
        self,
        table: str,
        corpus: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        made_from: str | None = None,
    ) -> Written:
        """Replaces `table` of `corpus` by `batches` as they come, holding one at a time.

        `made_from` is kept in the footer for whoever asks later whether it is still right.
        """
        place = (table, f"corpus={corpus}", "data.parquet")
        self.sweep(*place[:-1], older_than=DAY)
        is_known = self._is_seen_with(schema, table, corpus)
        content = Digest(schema)
        options = {
            "compression": "zstd",
            "write_page_checksum": True,
            # Where a group's values are few, as of verdicts; of text it would only cost time.
            "use_dictionary": [f.name for f in schema if f.name not in _UNIQUE],
        }
        with self.new_file(*place) as file:
            summed = SummedFile(file)
            with pq.ParquetWriter(summed, schema, **options) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    content.add(batch)
                stamps = {"bonito.digest": content.hexdigest()}
                if made_from is not None:
                    stamps["bonito.made_from"] = made_from
                writer.add_key_value_metadata(stamps)
            checksum = summed.hexdigest()
            self._expect(table, corpus, [*self.checksums(table, corpus), checksum])
        self._expect(table, corpus, [checksum])
        size = self.filesystem.size(self._path(*place))
        if not is_known:
            self.refresh_warehouse()
        return Written(self.uri(*place), content.rows, size, stamps["bonito.digest"])

    def checksums(self, table: str, corpus: str) -> list[str]:
        """Gives the SHA-256 that the file of `table` has, in hexadecimal; none for an old table.

        There are more while it is replaced, or where whoever did that was killed.
        """
        try:
            text = self.filesystem.cat_file(self._path(*_sums_of(table, corpus)))
        except FileNotFoundError:
            return []
        return text.decode(errors="replace").removesuffix("\n").split("\n")

    def drop(self, table: str, corpus: str) -> None:
        """Deletes `table` of `corpus` and its checksum; whoever needs it makes it again."""
        self.filesystem.rm(self.table_path(table, corpus))
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm(self._path(*_sums_of(table, corpus)))
        self.refresh_warehouse()

    def _expect(self, table: str, corpus: str, checksums: Sequence[str]) -> None:
        with self.new_file(*_sums_of(table, corpus)) as file:
            file.write("\n".join([*checksums, ""]).encode())

    def _is_seen_with(self, schema: pa.Schema, table: str, corpus: str) -> bool:
        """Tells whether the warehouse has a view over `table` of `corpus` with these columns."""
        warehouse = Path(self._path("warehouse.duckdb"))
        if not self.is_local or not warehouse.exists() or not self.exists(table, corpus):
            return False
        try:
            with self._open(table, corpus) as file:
                if not pq.ParquetFile(file).schema_arrow.equals(schema):
                    return False
        except (pa.ArrowException, OSError):  # it is damaged, and about to be replaced
            return False
        # Whoever wrote the file may have been killed before the view was made.
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            views = "select view_name from duckdb_views() where view_name = ?"
            return bool(connection.execute(views, [table]).fetchall())

    def segments(self, *parts: str) -> list[str]:
        """Gives the paths of the Parquet files of an append-only folder, oldest name first."""
        return sorted(self.filesystem.glob(self._path(*parts, "*.parquet")))

    @contextlib.contextmanager
    def new_file(self, *parts: str) -> Iterator[IO[bytes]]:
        """Hands out a file that appears at its place, whole, when the block ends well.

        Raises ``StaleWriter`` instead of publishing for a run that was superseded meanwhile.
        """
        path = self._path(*parts)
        filesystem = self.filesystem
        if not self.is_local:
            # An object appears when it is closed, after an error too: so it is made here first.
            with tempfile.TemporaryFile(prefix="bonito-") as whole:
                yield whole  # type: ignore[misc]
                whole.seek(0)
                with self._publishing(), filesystem.open(path, "wb") as file:
                    shutil.copyfileobj(whole, file)
            return
        final = Path(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            with self._publishing():
                temporary.replace(final)
            sync_folder(final.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def sweep(self, *parts: str, older_than: float) -> None:
        """Deletes what killed writers left half written in a folder `older_than` seconds ago."""
        if not self.is_local:
            return  # object stores show nothing of a file that was not finished
        for temporary in Path(self._path(*parts)).glob(".*.tmp"):
            # Whoever writes or sweeps here too may be faster.
            with contextlib.suppress(FileNotFoundError):
                if temporary.stat().st_mtime >= time.time() - older_than:
                    continue
                if temporary.is_dir():
                    shutil.rmtree(temporary)
                else:
                    temporary.unlink()

    # Folders: datasets, adapters, reports

    def folder(self, *parts: str) -> Path:
        """Gives the local path of a published folder, fetched from the root where that is remote.

        Raises ``TableMissing`` when it has not been published.
        """
        path = self._path(*parts)
        if not self.filesystem.exists(path):
            raise TableMissing(f"{path} is not there yet; materialize the asset '{parts[0]}' first")
        if self.is_local:
            return Path(path)
        local = Path(tempfile.mkdtemp(prefix="bonito-")) / parts[-1]
        self._copies.append(str(local))
        self.filesystem.get(path, str(local), recursive=True)
        return local

    def is_published(self, *parts: str) -> bool:
        """Tells whether there is a published folder, without fetching it."""
        return self.filesystem.exists(self._path(*parts))

    def published(self, *parts: str) -> Path | None:
        """Gives the local path of a published folder, or None when there is none yet."""
        return self.folder(*parts) if self.is_published(*parts) else None

    @contextlib.contextmanager
    def new_folder(self, *parts: str) -> Iterator[Path]:
        """Hands out an empty folder that replaces the published one when the block ends well.

        Raises ``StaleWriter`` instead of publishing for a run that was superseded meanwhile. A
        folder that belongs to no corpus has one writer at a time too: ``SecondWriter`` at once.
        """
        path = self._path(*parts)
        shared = parts if len(parts) == 1 else ()
        if self._writer is not None:
            for table in shared:
                self._writer.claim(table)
        if not self.is_local:
            with tempfile.TemporaryDirectory(prefix="bonito-") as temporary:
                self._copies.append(temporary)
                yield Path(temporary)
                if not (Path(temporary) / SUMS).exists():
                    write_sums(Path(temporary))
                with self._publishing(*shared):
                    if self.filesystem.exists(path):
                        self.filesystem.rm(path, recursive=True)
                    self.filesystem.put(f"{temporary}/", f"{path}/", recursive=True)
            return
        self.sweep(*parts[:-1], older_than=_LONGEST_FOLDER)
        final = Path(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
        temporary.mkdir()
        try:
            yield temporary
            if not (temporary / SUMS).exists():
                write_sums(temporary)
            sync_tree(temporary)
            with self._publishing(*shared):
                if final.exists():
                    exchange(temporary, final)
                else:
                    temporary.rename(final)
            sync_folder(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    # DuckDB

    @contextlib.contextmanager
    def connect(self, **settings: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens an in-memory DuckDB with a memory limit and a place to spill to.

        It reaches the files of the store and of its local copies, no other file and no network,
        loads no extension, and nothing that is asked of it can change that: `settings` of
        DuckDB's are taken here, before its configuration is locked.
        """
        with tempfile.TemporaryDirectory(prefix="bonito-duckdb-") as spill:
            options = {
                "memory_limit": self.memory_limit,
                "temp_directory": spill,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                **settings,
            }
            connection = duckdb.connect(config=options)
            try:
                # It would write into the log.
                connection.execute("set enable_progress_bar = false")
                connection.execute("set allowed_directories = ?", [self._readable()])
                connection.execute("set enable_external_access = false")
                connection.execute("set lock_configuration = true")
                yield connection
            finally:
                connection.close()

    def _readable(self) -> list[str]:
        """Gives the folders of this machine that DuckDB may read."""
        roots = [self._path()] if self.is_local else []
        # It looks at what a link leads to, and the root may be one.
        return [f"{os.path.realpath(folder)}/" for folder in [*roots, *self._copies]]

    def tables(self) -> list[str]:
        """Gives the names of the tables that have been made for at least one corpus."""
        found = self.filesystem.glob(self._path("*", "corpus=*", "data.parquet"))
        return sorted({str(path).split("/")[-3] for path in found})

    def refresh_warehouse(self) -> None:
        """Rebuilds ``warehouse.duckdb``: one view per table over the files of all corpora.

        It holds no data, so it is never the lock and never stale. Its views name absolute paths;
        a remote root has none, and ``reader`` serves there.
        """
        if not self.is_local:
            return
        final = Path(self._path("warehouse.duckdb"))
        temporary = final.with_name(f".warehouse.{uuid.uuid4().hex}.tmp")
        try:
            with duckdb.connect(str(temporary)) as connection:
                self._create_views(connection)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens DuckDB with one view per table, closed to all files but those of the tables."""
        with self.connect() as connection:
            if self.is_local:
                self._create_views(connection)
            else:
                import pyarrow.dataset as pads

                for table in self.tables():
                    paths = self.filesystem.glob(self._path(table, "corpus=*", "data.parquet"))
                    connection.register(table, pads.dataset(paths, filesystem=self.filesystem))
            yield connection

    def _create_views(self, connection: duckdb.DuckDBPyConnection) -> None:
        for table in self.tables():
            files = _literal(self._path(table, "corpus=*", "data.parquet"))
            # A view cannot take bound parameters; table names are folder names that we made.
            connection.execute(
                f'create view "{table}" as '  # noqa: S608
                f"select * from read_parquet({files}, union_by_name = true)"
            )


class Digest:
    """The digest of a table's content: equal rows in equal order give equal digests.

    Clock and run stay out, so that a refresh that changes nothing gives the old data version. How
    the rows are cut into batches is of no account.
    """

    def __init__(
        self, schema: pa.Schema, without: Sequence[str] = ("created_at", "run_id")
    ) -> None:
        self._schema = pa.schema([field for field in schema if field.name not in without])
        self._schema = self._schema.remove_metadata()
        self._sha = hashlib.sha256()
        sink = pa.PythonFile(_HashFile(self._sha), mode="w")
        self._stream = pa.ipc.new_stream(sink, self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes the next rows."""
        self.rows += batch.num_rows
        columns = [batch[name] for name in self._schema.names]
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= BATCH_ROWS:
            self._hash_waiting(final=False)

    def hexdigest(self) -> str:
        """Gives the digest; no more rows may be added."""
        self._hash_waiting(final=True)
        self._stream.close()
        return self._sha.hexdigest()

    def _hash_waiting(self, final: bool) -> None:
        """Hashes what waits in batches of one size, whatever size it came in."""
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        due = table.num_rows if final else table.num_rows // BATCH_ROWS * BATCH_ROWS
        for batch in rebatched(table.slice(0, due)):
            # Copied, because a slice can drag along bytes of its neighbours, which would count.
            self._stream.write_batch(batch.take(pa.array(np.arange(batch.num_rows))))
        self._waiting = table.slice(due).to_batches()
        self._waiting_rows = table.num_rows - due


class _HashFile:
    """A file that only feeds a digest, so that no second copy of the table is made."""

    closed = False

    def __init__(self, sha: hashlib._Hash) -> None:
        self._sha = sha

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def digest(data: pa.Table) -> str:
    """Gives the ``Digest`` of a whole table."""
    content = Digest(data.schema)
    for batch in rebatched(data):
        content.add(batch)
    return content.hexdigest()


def rebatched(data: pa.Table) -> Iterator[pa.RecordBatch]:
    """Gives `data` in batches of 2,048 rows, whatever chunks it came in."""
    for start in range(0, data.num_rows, BATCH_ROWS):
        yield from data.slice(start, BATCH_ROWS).combine_chunks().to_batches()


def exchange(one: Path, other: Path) -> None:
    """Swaps two folders in one step: no reader finds neither (renameat2, Linux 3.15 and later).

    A rename cannot replace a folder that is not empty. On a filesystem that cannot exchange, the
    old folder steps aside first, which leaves a moment with none.
    """
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    here, rename_exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE in linux/fcntl.h and linux/fs.h
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), rename_exchange) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), f"cannot publish {other}")
    aside = other.with_name(f".{other.name}.{uuid.uuid4().hex}.old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries to disk, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flushes every file and folder below `folder` to disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def _sums_of(table: str, corpus: str) -> tuple[str, ...]:
    return table, f"corpus={corpus}", ".data.parquet.sha256"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
