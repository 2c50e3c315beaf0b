"""One refresh of `documents`: every item of the source, read anew only where it changed.

Files are looked at in the order of their uris, which is also the order of the table, so that the
last table and the new listing are gone through side by side and no rows are held in memory.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import Corpus
from bonito_assets.identity import digest
from bonito_assets.ingestion import dataset, rendering
from bonito_assets.ingestion.files import Listing, SourceError, SourceFile, find_files
from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.items import Item, divides_into_lines
from bonito_assets.ingestion.reading import Limits, Reading
from bonito_assets.ingestion.sandbox import Entry, Job, Sandbox
from bonito_assets.ingestion.snapshot import Snapshot, take
from bonito_assets.lineage.tombstones import VERDICT as FORGOTTEN
from bonito_assets.lineage.tombstones import Tombstone, Tombstones, emptied
from bonito_assets.progress import Progress
from resources.store import Store, Written

Log = Callable[[str], None]

TABLE = "documents"
FILES = "source_files"

# Small files go to a worker together, since each trip costs as much as a page of text.
_JOB_FILES = 64
_JOB_BYTES = 1 << 20
# Files that are fetched ahead: enough to hide the way to an object store, and no more than a small
# machine has room for.
_AHEAD = 128
_AHEAD_BYTES = 64 << 20
_FETCHERS = 8
# A row group of `documents`: what a reader of the table holds at once.
_GROUP_ROWS = 2048
_GROUP_BYTES = 32 << 20


@dataclass
class Seen:
    """What a refresh found at the source, for the books and for a person."""

    files: int = 0
    read: int = 0
    unchanged: int = 0
    hidden: int = 0
    left_out: int = 0
    revision: str | None = None

    def metadata(self) -> dict[str, int | str]:
        """Gives it as it stands beside the asset in the UI."""
        found: dict[str, int | str] = {
            "files": self.files,
            "files read": self.read,
            "files unchanged": self.unchanged,
            "hidden files passed by": self.hidden,
            "rows left out by 'where'": self.left_out,
        }
        if self.revision is not None:
            found["revision of the dataset"] = self.revision
        return found


@dataclass(frozen=True)
class Refreshed:
    """The table that was written, its books, and what was found at the source."""

    written: Written
    books: Books
    seen: Seen


def reading(corpus: Corpus) -> Reading:
    """Gives how the items of `corpus` are to be read."""
    source = corpus.source
    return Reading(
        corpus.name,
        source.text_field,
        source.id_field,
        source.title_field,
        source.license_field,
        source.where,
        corpus.pii == "mask",
        Limits(**corpus.limits.model_dump()),
    )


def refresh(store: Store, corpus: Corpus, log: Log) -> Refreshed:
    """Reads the source of `corpus` and writes `documents` and `source_files`.

    Raises ``SourceError`` when there is no such source or nothing in it; the last table stays.
    """
    seen = Seen()
    ledger: list[dict[str, Any]] = []
    last = LastTime(store, corpus.name)
    books = Books(tables.DOCUMENTS, "doc_id")
    forgotten = Tombstones.read(store, corpus.name)
    rows = documents(corpus, last, seen, ledger, log, forgotten=forgotten)
    batches = books.passing(grouped(rows))
    written = store.write_batches(TABLE, corpus.name, tables.DOCUMENTS, batches)
    # The ledger names the table that it belongs to: with another one it counts for nothing.
    found = pa.Table.from_pylist(ledger, schema=tables.SOURCE_FILES).to_batches()
    store.write_batches(FILES, corpus.name, tables.SOURCE_FILES, found, made_from=written.digest)
    return Refreshed(written, books, seen)


def documents(
    corpus: Corpus,
    last: LastTime | None = None,
    seen: Seen | None = None,
    ledger: list[dict[str, Any]] | None = None,
    log: Log = lambda _line: None,
    listing: Listing | None = None,
    forgotten: Tombstones | None = None,
) -> Iterator[pa.RecordBatch]:
    """Gives the rows of `documents` of `corpus`, in the order of its source, up to its ``limit``.

    `last` is what an earlier refresh knew; `seen` and `ledger` are filled on the way. A `listing`
    stands in for the files of the source. What was `forgotten` has a row and no text. Raises
    ``SourceError`` when there is no such source or nothing in it.
    """
    seen = seen if seen is not None else Seen()
    ledger = ledger if ledger is not None else []
    if corpus.source.dataset is not None:
        found = _from_dataset(corpus, last, seen, ledger, log)
    else:
        listing = listing or find_files(corpus)
        found = _from_files(corpus, listing, last, seen, ledger, log)
    left = corpus.source.limit
    again: list[int] = []
    with contextlib.closing(found) as batches:
        for batch in _judged(batches, forgotten or Tombstones(), again):
            if left is not None and batch.num_rows >= left:
                yield batch.slice(0, left)
                ledger.clear()  # the last file may be there in part: it is to be read again
                return
            left = None if left is None else left - batch.num_rows
            yield batch
    read_again(ledger, again)


def read_again(ledger: list[dict[str, Any]], rows: Iterable[int]) -> None:
    """Lets the files be read again next time that gave the `rows`, by their numbers."""
    ends = np.cumsum([entry["documents"] for entry in ledger])
    for place in set(np.searchsorted(ends, list(rows), side="right").tolist()):
        ledger[place]["reader"] = None


def grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gives the rows of `batches` in row groups: up to 2,048 rows and 32 MB, one row at least."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for piece in _pieces(batch):
            if held and (rows + piece.num_rows > _GROUP_ROWS or size + piece.nbytes > _GROUP_BYTES):
                yield pa.concat_batches(held)
                held, rows, size = [], 0, 0
            held.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
    if held:
        yield pa.concat_batches(held)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= 1 or (batch.num_rows <= _GROUP_ROWS and batch.nbytes <= _GROUP_BYTES):
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


# What depends on the documents before


def _judged(
    batches: Iterable[pa.RecordBatch], forgotten: Tombstones, again: list[int]
) -> Iterator[pa.RecordBatch]:
    """Marks documents whose text an earlier one has, and gives each row an id of its own.

    The text of those that were `forgotten` goes. `again` gets the numbers of rows of which
    `documents` does not hold what they would be without what is known of others: whose own id an
    earlier row had, or which are forgotten no longer. Some 200 bytes per document are kept.
    """
    first_with: dict[int, str] = {}
    ids: set[int] = set()
    before = 0
    for batch in batches:
        columns = {name: batch[name].to_pylist() for name in _JUDGED}
        stones: list[Tombstone | None] = [None] * batch.num_rows
        changed = False
        for row, (doc_id, text, uri, verdict, content) in enumerate(
            zip(*(columns[name] for name in _JUDGED[:5]), strict=True)
        ):
            while (number := int(doc_id[:16], 16)) in ids:
                # Two rows with one id of their own: the later one gets an id made from it.
                doc_id = digest(doc_id, 2)
                columns["doc_id"][row], changed = doc_id, True
                again.append(before + row)
            ids.add(number)
            stones[row] = forgotten.of(doc_id, text, content)
            if stones[row] is not None:
                continue  # that it has the text of another, or another its, says nothing any more
            if verdict == FORGOTTEN:
                again.append(before + row)
            if verdict == _DUPLICATE:
                verdict = columns["rejected_because"][row] = columns["error"][row] = None
                changed = True
            if verdict is None:
                first = first_with.setdefault(int(text[:16], 16), uri)
                if first is not uri:
                    columns["rejected_because"][row] = _DUPLICATE
                    columns["error"][row] = f"has the same text as {first}"
                    changed = True
        if changed:
            for name in ("doc_id", "error", "rejected_because"):
                place = batch.schema.get_field_index(name)
                values = pa.array(columns[name], pa.string())
                batch = batch.set_column(place, batch.schema.field(place), values)
        before += batch.num_rows
        yield emptied(batch, stones)


_DUPLICATE = "exact_duplicate_document"
_JUDGED = ("doc_id", "text_digest", "uri", "rejected_because", "content_sha256", "error")


# From files


class LastTime:
    """What the last refresh found, file by file, with the rows that it made of each.

    To be asked in the order of uris; it reads the old table as it goes.
    """

    def __init__(self, store: Store, corpus: str) -> None:
        self._files: list[dict[str, Any]] = []
        digest_of_table = store.stamps(TABLE, corpus).get("digest")
        if digest_of_table and store.stamps(FILES, corpus).get("made_from") == digest_of_table:
            self._files = store.read(FILES, corpus).to_pylist()
        self._by_uri = {file["uri"]: file for file in self._files}
        self._next = 0
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held: pa.RecordBatch | None = None
        if self._files:
            self._batches = store.batches(TABLE, corpus, tables.DOCUMENTS.names)
            self._held = next(self._batches, None)  # from here on the file is open
            if store.stamps(TABLE, corpus).get("digest") != digest_of_table:
                self._files, self._by_uri = [], {}  # somebody has written another table meanwhile

    def file(self, uri: str) -> dict[str, Any] | None:
        """Gives what is known of the file called `uri`."""
        return self._by_uri.get(uri)

    def rows(self, uris: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """Gives the rows of the files called `uris`, all of which ``file`` knows."""
        before = wanted = 0
        for uri in uris:
            while (file := self._files[self._next])["uri"] != uri:
                yield from self._take(wanted)
                before, wanted = before + file["documents"], 0
                self._next += 1
            self._next += 1
            if before:
                for _ in self._take(before):
                    pass
                before = 0
            wanted += file["documents"]
        yield from self._take(wanted)

    def _take(self, rows: int) -> Iterator[pa.RecordBatch]:
        while rows:
            if self._held is None or not self._held.num_rows:
                self._held = next(self._batches)
            piece = self._held.slice(0, rows)
            self._held = self._held.slice(piece.num_rows)
            rows -= piece.num_rows
            yield piece


@dataclass
class _Due:
    """A stretch of files whose rows come next, and where they come from.

    Of a large table it is one part; ``ends`` tells that no other of its files follows.
    """

    entries: list[dict[str, Any]]
    rows: Callable[[], Iterator[pa.RecordBatch]]
    job: Job | None = None
    ends: bool = True


def _from_files(
    corpus: Corpus,
    listing: Listing,
    last: LastTime | None,
    seen: Seen,
    ledger: list[dict[str, Any]],
    log: Log,
) -> Iterator[pa.RecordBatch]:
    seen.files, seen.hidden = len(listing.files), listing.hidden
    how = reading(corpus)
    workers = max(1, os.cpu_count() or 1)
    with Sandbox(how, workers) as sandbox, ThreadPoolExecutor(_FETCHERS) as fetchers:
        progress = Progress("files", seen.files, log)
        stretches = _stretches(listing.files, how, last, sandbox, fetchers, seen)
        # Twice as many jobs as workers keep all of them busy while the first is waited for.
        ahead = _running_ahead(stretches, 2 * workers)
        for due in ahead:
            counts = np.zeros(len(due.entries), np.int64)
            for batch in due.rows():
                if "entry" in batch.schema.names:
                    numbers = batch["entry"].to_numpy()
                    counts += np.bincount(numbers, minlength=len(counts))
                    batch = batch.select(tables.DOCUMENTS.names)
                yield batch
            for number, entry in enumerate(due.entries):
                if due.job is not None:
                    entry["documents"] += int(counts[number])
                    entry["left_out"] += due.job.left_out.get(number, 0)
                    if number in due.job.lost:
                        entry["reader"] = None  # it is to be tried again
                if due.ends:
                    if not entry["documents"] and not entry["left_out"]:
                        # A table that is read in stretches: each of them alone may be blank.
                        yield _row_of_empty_table(entry, how)
                        entry["documents"] = 1
                    seen.left_out += entry["left_out"]
                    ledger.append(entry)
                    progress.advance()


def _row_of_empty_table(entry: dict[str, Any], how: Reading) -> pa.RecordBatch:
    sha256 = entry["content_sha256"]
    item = Item(entry["uri"], None, sha256, rejected_because="empty", error="holds no rows")
    return rendering.rows([(0, item)], how).select(tables.DOCUMENTS.names)


def _running_ahead(stretches: Iterator[_Due], jobs: int) -> Iterator[_Due]:
    """Gives `stretches` in order, taking them so early that `jobs` of them are being worked on."""
    waiting: deque[_Due] = deque()
    for due in stretches:
        waiting.append(due)
        while waiting and (len(waiting) > jobs or waiting[0].job is None):
            yield waiting.popleft()
    yield from waiting


def _stretches(
    files: list[SourceFile],
    how: Reading,
    last: LastTime | None,
    sandbox: Sandbox,
    fetchers: ThreadPoolExecutor,
    seen: Seen,
) -> Iterator[_Due]:
    """Gives what is to be done about each file, several small ones at a time."""
    fingerprint = how.fingerprint
    together: list[tuple[dict[str, Any], Entry]] = []
    again: list[dict[str, Any]] = []

    def rows_of_last_time() -> _Due:
        assert last is not None
        seen.unchanged += len(again)
        entries = list(again)
        again.clear()
        return _Due(entries, lambda: last.rows(entry["uri"] for entry in entries))

    def job() -> _Due:
        seen.read += len(together)
        made = sandbox.submit(Job([entry for _, entry in together]))
        due = _Due([known for known, _ in together], made.batches, made)
        together.clear()
        return due

    for file, fetched in _fetched(files, how, last, fingerprint, fetchers):
        entry = {
            "corpus": how.corpus,
            "uri": file.uri,
            "size": file.size,
            "token": file.token,
            "content_sha256": None,
            "reader": fingerprint,
            "documents": 0,
            "left_out": 0,
        }
        known = last.file(file.uri) if last is not None else None
        if isinstance(fetched, Snapshot):
            entry["size"], entry["content_sha256"] = fetched.size, fetched.sha256
            unchanged = (
                known is not None
                and known["content_sha256"] == fetched.sha256
                and known["reader"] == fingerprint
            )
        else:
            unchanged = fetched is None
        if unchanged:
            assert known is not None
            if together:
                yield job()
            again.append({**known, "token": file.token})
            if len(again) == _JOB_FILES:
                yield rows_of_last_time()
            continue
        if again:
            yield rows_of_last_time()
        if isinstance(fetched, Snapshot):
            total = sum(one.size for _, one in together) + fetched.size
            if together and (len(together) == _JOB_FILES or total > _JOB_BYTES):
                yield job()
            if _is_divisible(file, fetched):
                seen.read += 1
                for number, part in enumerate(fetched.parts, start=1):
                    piece = Entry(file.uri, part.size, fetched.sha256, fetched.content, part)
                    made = sandbox.submit(Job([piece]))
                    yield _Due([entry], made.batches, made, number == len(fetched.parts))
                continue
            together.append((entry, Entry(file.uri, fetched.size, fetched.sha256, fetched.content)))
            continue
        if together:
            yield job()
        assert isinstance(fetched, Refused)
        item = Item(file.uri, None, rejected_because=fetched.code, error=str(fetched))
        row = rendering.rows([(0, item)], how)
        refusal = {**entry, "reader": None, "documents": 1}
        yield _Due([refusal], lambda row=row: iter([row]))
    if again:
        yield rows_of_last_time()
    if together:
        yield job()


def _is_divisible(file: SourceFile, snapshot: Snapshot) -> bool:
    """Tells whether several workers may read a file, a stretch of lines each."""
    if len(snapshot.parts) < 2 or isinstance(snapshot.content, bytes):
        return False
    head = os.pread(snapshot.content.fileno(), 4096, 0)
    return divides_into_lines(PurePosixPath(file.uri).name, head)


def _fetched(
    files: list[SourceFile],
    how: Reading,
    last: LastTime | None,
    fingerprint: str,
    fetchers: ThreadPoolExecutor,
) -> Iterator[tuple[SourceFile, Snapshot | Refused | None]]:
    """Gives each file with its bytes, or with why there are none; None where they are as before."""

    def fetch(file: SourceFile) -> Snapshot | Refused | None:
        known = last.file(file.uri) if last is not None else None
        if file.refusal is not None:
            return Refused("outside_source", file.refusal)
        if (
            known is not None
            and file.token is not None
            and known["token"] == file.token
            and known["reader"] == fingerprint
        ):
            return None
        try:
            return take(file, how.limits.file_mb)
        except Refused as refused:
            return refused

    ahead: deque[tuple[SourceFile, Future[Snapshot | Refused | None]]] = deque()
    size = 0
    for file in files:
        ahead.append((file, fetchers.submit(fetch, file)))
        size += file.size or 0
        while len(ahead) > 1 and (len(ahead) > _AHEAD or size > _AHEAD_BYTES):
            first, future = ahead.popleft()
            size -= first.size or 0
            yield first, future.result()
    for first, future in ahead:
        yield first, future.result()


# From datasets


def _from_dataset(
    corpus: Corpus, last: LastTime | None, seen: Seen, ledger: list[dict[str, Any]], log: Log
) -> Iterator[pa.RecordBatch]:
    how = reading(corpus)
    opened = dataset.open_dataset(corpus)
    seen.files, seen.revision = 1, opened.revision
    entry = {
        "corpus": corpus.name,
        "uri": opened.uri,
        "size": None,
        "token": opened.revision,
        "content_sha256": None,
        "reader": how.fingerprint,
        "documents": 0,
        "left_out": 0,
    }
    known = last.file(opened.uri) if last is not None else None
    if (
        last is not None
        and known is not None
        and opened.revision is not None
        and (known["token"], known["reader"]) == (opened.revision, how.fingerprint)
    ):
        seen.unchanged, seen.left_out = 1, known["left_out"]
        ledger.append(known)
        yield from last.rows([opened.uri])
        return
    seen.read = 1
    for batch, left_out in opened.batches(how, log):
        entry["documents"] += batch.num_rows
        entry["left_out"] += left_out
        seen.left_out += left_out
        yield batch.select(tables.DOCUMENTS.names)
    if not entry["documents"] and not entry["left_out"]:
        raise SourceError(f"corpus '{corpus.name}': source.dataset: '{opened.uri}' holds no rows")
    ledger.append(entry)
