"""Worker processes that read files, each with a limit on memory, and on time for each file.

A file whose reading takes a worker down costs itself: it gets a verdict, a new worker goes on with
its neighbour, and inside an archive with the next member.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa

from bonito_assets.ingestion import wire
from bonito_assets.ingestion.items import Item
from bonito_assets.ingestion.reading import Reading
from bonito_assets.ingestion.rendering import SCHEMA, clean, rows
from bonito_assets.ingestion.snapshot import Part
from bonito_assets.ingestion.worker import MEMORY_EXIT

# Batches of one job that wait to be fetched; a batch holds a few megabytes.
_WAITING = 4
# A process needs this long to start and import on a busy machine.
_START_SECONDS = 60.0
# Of a table or an archive, this many times limits.ratio of its size may come out as text, and
# this many characters in any case.
_HARMLESS_BYTES = 1 << 30
# Members of one archive that may take a worker down: each may cost all of limits.seconds, so that
# one archive could keep a refresh busy for weeks.
_LOST_MEMBERS = 20
# What a worker gets of the environment: enough to start, and no credentials, which the parsers of
# strangers' files have no need of.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")


@dataclass(frozen=True)
class Entry:
    """A file as a worker gets it: its content, or an open file where it is large.

    Of a large table ``part`` is the stretch that is meant, None for all of it.
    """

    uri: str
    size: int
    sha256: str
    content: bytes | BinaryIO
    part: Part | None = None

    def described(self) -> dict[str, object]:
        """Gives what the worker is told before it gets the content."""
        inline = isinstance(self.content, bytes)
        return {
            "uri": self.uri,
            "size": self.size,
            "sha256": self.sha256,
            "inline": inline,
            "part": None if self.part is None else tuple(self.part),
        }


@dataclass
class Job:
    """Files that are read in one go. ``left_out`` counts, per file, rows that ``where`` drops.

    ``lost`` are the files that ran out of time or took a worker down, which may be the fault of a
    busy machine: another time they may be read.
    """

    entries: list[Entry]
    left_out: dict[int, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    results: queue.Queue[pa.RecordBatch | BaseException | None] = field(
        default_factory=lambda: queue.Queue(_WAITING)
    )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Gives the rows of all files in order, as ``rendering.SCHEMA``; waits for them."""
        while True:
            result = self.results.get()
            if result is None:
                return
            if isinstance(result, BaseException):
                raise result
            yield result


class Sandbox:
    """A few workers, fed with jobs in order. To be used as a context manager."""

    def __init__(self, reading: Reading, workers: int) -> None:
        self._reading = reading
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, daemon=True, name=f"reader-{number}")
            for number in range(workers)
        ]
        self._processes: set[_Worker] = set()

    def __enter__(self) -> Sandbox:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for worker in list(self._processes):
            worker.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, job: Job) -> Job:
        """Takes a job; its rows are to be fetched in the order in which jobs were given."""
        self._jobs.put(job)
        return job

    def _hand_out(self, job: Job, result: pa.RecordBatch | BaseException | None) -> None:
        """Puts the next rows, the end, or an error of our own, where they are waited for."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                job.results.put(result, timeout=0.1)
                return

    def _serve(self) -> None:
        worker: _Worker | None = None
        while (job := self._jobs.get()) is not None and not self._closing.is_set():
            try:
                worker = self._read(worker, job)
            except BaseException as error:  # the step must not wait for rows that never come
                self._hand_out(job, error)
                worker = None
            else:
                self._hand_out(job, None)
        if worker is not None:
            worker.kill()

    def _read(self, worker: _Worker | None, job: Job) -> _Worker | None:
        cursor, careful = (0, 0), False
        nobodys_fault: tuple[int, int] | None = None
        lost_members: Counter[int] = Counter()
        while cursor[0] < len(job.entries):
            if worker is None:
                worker = _Worker(self._reading)
                self._processes.add(worker)
            attempt = _Attempt(job, cursor, lambda batch: self._hand_out(job, batch))
            try:
                attempt.run(worker, careful)
                return worker
            except _Lost as lost:
                worker.kill()
                self._processes.discard(worker)
                worker = None
                if self._closing.is_set():
                    return None
                if attempt.unsent and not careful:
                    # Small files that were read but not yet sent go first, one by one.
                    cursor, careful = (attempt.unsent[0], 0), True
                    nobodys_fault = None
                    continue
                if attempt.begun is None and attempt.cursor != nobodys_fault:
                    # It was at no file. Twice at one place, the file that comes there is to blame.
                    cursor = nobodys_fault = attempt.cursor
                    continue
                entry = attempt.cursor[0]
                uri, sha256 = job.entries[entry].uri, job.entries[entry].sha256
                _, member, name = attempt.begun or (entry, -1, uri)
                if lost.code != "too_large":
                    job.lost.add(entry)
                error = lost.sentence + attempt.missing()
                own = sha256 if member < 0 else None
                refused = [Item(name, None, own, rejected_because=lost.code, error=error)]
                cursor = (entry + 1, 0) if member < 0 else (entry, member + 1)
                lost_members[entry] += 1
                if member >= 0 and lost_members[entry] == _LOST_MEMBERS:
                    error = f"has lost {_LOST_MEMBERS} readers; nothing was read of it after {name}"
                    refused.append(
                        Item(uri, None, sha256, rejected_because="unreadable", error=error)
                    )
                    cursor = (entry + 1, 0)
                self._hand_out(job, rows([(entry, item) for item in refused], self._reading))
        return worker


class _Lost(Exception):
    """A worker is gone or must go; says what that means for the file that it was reading."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class _Attempt:
    """One worker's attempt at a job, from a place in it on."""

    def __init__(
        self, job: Job, cursor: tuple[int, int], hand_out: Callable[[pa.RecordBatch], None]
    ) -> None:
        self._job = job
        self._hand_out = hand_out
        self._start = cursor
        # What members before the start left out; of any other file the count begins anew.
        self._left_out = job.left_out.get(cursor[0], 0) if cursor[1] else 0
        # The file that comes next or is being read, or the member that was to come first.
        self.cursor = cursor
        # The file or member that the worker is at: number, number of the member or -1, name.
        self.begun: tuple[int, int, str] | None = None
        self.unsent: list[int] = []
        self._last: str | None = None
        self._bytes = 0

    def run(self, worker: _Worker, careful: bool) -> None:
        """Reads to the end of the job; raises ``_Lost``."""
        limits = worker.reading.limits
        size = sum(entry.size for entry in self._job.entries)
        most = max(size * limits.ratio, _HARMLESS_BYTES)
        worker.give(self._job, self._start, careful)
        while True:
            kind, content = worker.next_frame()
            if kind in (b"B", b"A", b"E"):
                entry, left_out, *more = wire.load_json(content)  # type: ignore[misc]
                before = self._left_out if entry == self._start[0] else 0
                self._job.left_out[entry] = before + left_out
            if kind == b"B":
                self.begun, self._last = (entry, *more), None
            elif kind == b"R":
                self._bytes += len(content)
                if self._bytes > most:
                    raise _Lost("too_large", "gives more text than its size allows (limits.ratio)")
                self.unsent = []
                batch = pa.ipc.read_record_batch(pa.py_buffer(content), SCHEMA)
                self._last = batch["uri"][-1].as_py()
                self._hand_out(batch)
            elif kind == b"E":
                self.begun, self.cursor = None, (entry + 1, 0)
                if more[0]:
                    self.unsent.append(entry)
            elif kind == b"X":
                raise RuntimeError(f"a reader of files is faulty:\n{content.decode()}")
            elif kind == b"D":
                return

    def missing(self) -> str:
        """Gives what of a table or an archive went with the worker, as the end of a sentence.

        It is empty for what is one document, which is missing as a whole.
        """
        if self.begun is None:
            return ""
        entry, member, name = self.begun
        shown = (self._last or "").removeprefix(f"{clean(name)}#")
        part = self._job.entries[entry].part
        if part is not None:
            first = int(shown) + 1 if shown.isdigit() else part.lines_before + 1
            return f"; its lines from {first} on are here in part"
        if shown.isdigit():
            return f"; what stands before it was read, up to row {shown}"
        if member < 0 and entry == self._start[0] and self._start[1]:
            return f"; its first {self._start[1]} files were read, as far as they could be"
        return ""


def _environment() -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith("OPENBLAS_")
    }
    # Arrow's own allocators reserve more than they use, which would count.
    return {**passed, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}


class _Worker:
    """One process and the socket to it."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        ours, theirs = socket.socketpair()
        with theirs:
            module = "bonito_assets.ingestion.worker"
            # -P: no module is taken from the folder that a person happens to stand in.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        self._connection = ours
        self._started = False

    def give(self, job: Job, cursor: tuple[int, int], careful: bool) -> None:
        """Sends a job; raises ``_Lost``, or ``RuntimeError`` where no worker can be started."""
        self._start()
        described = [entry.described() for entry in job.entries]
        head = {"entries": described, "from": cursor, "careful": careful}
        try:
            self._connection.settimeout(_START_SECONDS)
            wire.send_json(self._connection, b"J", head)
            for entry in job.entries[cursor[0] :]:
                if isinstance(entry.content, bytes):
                    self._connection.sendall(entry.content)
                else:
                    socket.send_fds(self._connection, [b"f"], [entry.content.fileno()])
        except OSError as error:
            raise self._cause() from error

    def _start(self) -> None:
        """Waits until the process is ready. That it is not is the fault of no file."""
        if self._started:
            return
        try:
            self._connection.settimeout(_START_SECONDS)
            wire.send_json(self._connection, b"S", self.reading.to_json())
            wire.receive(self._connection)
        except (wire.Closed, OSError) as error:
            raise RuntimeError(
                "the process that reads files does not start; "
                "'python -m bonito_assets.ingestion.worker' says why"
            ) from error
        self._started = True

    def next_frame(self) -> tuple[bytes, bytearray]:
        """Waits for the next frame, no longer than reading may take; raises ``_Lost``."""
        seconds = self.reading.limits.seconds
        self._connection.settimeout(seconds)
        try:
            return wire.receive(self._connection)
        except TimeoutError:
            sentence = f"took longer than {seconds:g} s to read (limits.seconds)"
            raise _Lost("timed_out", sentence) from None
        except (wire.Closed, OSError) as error:
            raise self._cause() from error

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._connection.close()

    def _cause(self) -> _Lost:
        """Gives why the process went."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.returncode
        memory = self.reading.limits.memory_mb
        if code == MEMORY_EXIT:
            return _Lost("too_large", f"needs more than {memory} MB to read (limits.memory_mb)")
        how = signal.Signals(-code).name if code is not None and code < 0 else f"code {code}"
        return _Lost("unreadable", f"brought its reader down ({how}); the file is damaged")
