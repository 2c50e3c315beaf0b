"""The process in which files are read: it may run out of time, memory or luck without harm.

``python -m bonito_assets.ingestion.worker SOCKET PARENT``. It opens no file and writes none (its
limit on file size is nought), and it ends with its parent.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any, BinaryIO

from bonito_assets.ingestion import wire
from bonito_assets.ingestion.items import Item, LeftOut, items, lines
from bonito_assets.ingestion.reading import Reading
from bonito_assets.ingestion.rendering import batch, row

# How the process says that memory ran out.
MEMORY_EXIT = 12
# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
# Rows go out in batches of about this many characters or rows, so that neither side holds much.
_BATCH_CHARS = 4_000_000
_BATCH_ROWS = 2048


def main() -> None:
    """Reads the files of one job after the other, until the other side closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    _end_with(int(sys.argv[2]))
    kind, content = wire.receive(connection)
    assert kind == b"S"
    reading = Reading.from_json(wire.load_json(content))  # type: ignore[arg-type]
    _limit(reading.limits.memory_mb)
    wire.send(connection, b"S")
    try:
        while True:
            _, content = wire.receive(connection)
            job = wire.load_json(content)
            _work(connection, job, reading)  # type: ignore[arg-type]
    except (wire.Closed, ConnectionError):
        pass
    except MemoryError:
        os._exit(MEMORY_EXIT)  # whatever is in memory may be in a bad state
    except Exception:  # a fault of ours and not of a file: the refresh must not go on
        wire.send(connection, b"X", traceback.format_exc().encode("utf-8", "replace"))


def _work(connection: socket.socket, job: dict[str, Any], reading: Reading) -> None:
    first, start = job["from"]
    entries = list(enumerate(job["entries"]))[first:]
    # All files before the first result: else both sides could wait for the other to listen.
    files = [_file(connection, entry) for _, entry in entries]
    held = _Held(connection, reading)
    for (number, entry), file in zip(entries, files, strict=True):
        held.partly_sent, held.left_out = False, 0
        members = start if number == first else 0
        wire.send_json(connection, b"B", [number, 0, -1, entry["uri"]])

        def begin(member: int, name: str, number: int = number, members: int = members) -> None:
            if member < members:
                # A long way to the first member that counts is no standstill.
                wire.send_json(connection, b"A", [number, held.left_out])
                return
            held.send()
            held.partly_sent = True
            wire.send_json(connection, b"B", [number, held.left_out, member, name])

        uri, sha256 = entry["uri"], entry["sha256"]
        if entry["part"] is None:
            found = items(uri, file, entry["size"], sha256, reading, begin, members)
        else:
            found = lines(uri, file, sha256, reading, entry["part"][2])
        for item in found:
            if not isinstance(item, LeftOut):
                held.add(number, item)
                continue
            held.left_out += 1
            if held.left_out % _BATCH_ROWS == 0:
                wire.send_json(connection, b"A", [number, held.left_out])
        if held.partly_sent or job["careful"]:
            held.send()
        wire.send_json(connection, b"E", [number, held.left_out, held.waits])
    held.send()
    wire.send(connection, b"D")


class _Held:
    """Rows that wait to go out together.

    A file of which some rows went out sends the rest of them before it ends, so that a file is
    either wholly among those that wait or not at all. ``left_out`` counts the rows of the file that
    are not wanted.
    """

    def __init__(self, connection: socket.socket, reading: Reading) -> None:
        self._connection = connection
        self._reading = reading
        self._rows: list[tuple[object, ...]] = []
        self._chars = 0
        self.partly_sent = False
        self.left_out = 0

    def add(self, entry: int, item: Item) -> None:
        # Made at once: what it costs is then the cost of this file, while it is being read.
        self._rows.append(row(entry, item, self._reading))
        self._chars += len(item.text or "")
        if self._chars >= _BATCH_CHARS or len(self._rows) >= _BATCH_ROWS:
            self.send()

    def send(self) -> None:
        if self._rows:
            wire.send(self._connection, b"R", memoryview(batch(self._rows).serialize()))
            self.partly_sent = True
        self._rows, self._chars = [], 0

    @property
    def waits(self) -> bool:
        return bool(self._rows)


def _file(connection: socket.socket, entry: dict) -> BinaryIO:
    if entry["inline"]:
        return io.BytesIO(wire.receive_bytes(connection, entry["size"]))
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    start, size, _ = entry["part"] or (0, entry["size"], 0)
    return io.BufferedReader(_Section(descriptors[0], start, size), 1 << 20)


class _Section(io.RawIOBase):
    """A stretch of an open file that other workers read at the same time."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        length = min(len(buffer), max(0, self._size - self._at))
        # The place is told with each read: descriptors that were passed on share their own.
        got = os.preadv(self._descriptor, [buffer[:length]], self._start + self._at)
        self._at += got
        return got

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _limit(memory_mb: int) -> None:
    # Private memory that can be written to: what a parser takes, and not the libraries' code.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it went before the request stood


if __name__ == "__main__":
    main()
