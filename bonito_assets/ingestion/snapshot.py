"""The bytes of one file, whole and of one moment, with their digest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from bonito_assets.ingestion.files import SourceFile
from bonito_assets.ingestion.formats.extracted import Refused
from resources.secrets import scrub

# Up to here the bytes are held in memory; beyond, in a file without a name.
INLINE_BYTES = 1 << 20
_BLOCK = 1 << 20
# A tenth of a second's work: enough to share a large file among workers.
PART_BYTES = 16 << 20
# A file that was written within this time (in nanoseconds) may be written again without its time
# of change moving: kernels count that in steps of up to 10 ms.
_RACY_NS = 20_000_000
# Waits before the next try at a file that somebody writes to, in seconds.
_PAUSES = (0.05, 0.2, 0.5, 1.0)


class Part(NamedTuple):
    """A stretch of a file that begins and ends between two lines."""

    start: int
    size: int
    lines_before: int


@dataclass(frozen=True)
class Snapshot:
    """A file's bytes at one moment; ``content`` is an unnamed open file where they are many.

    A file of which each line stands for itself may be read in ``parts``; a small one has none.
    """

    size: int
    sha256: str
    content: bytes | BinaryIO
    parts: tuple[Part, ...] = ()


class _Changed(Exception):
    """The file was written to while it was read."""


def take(file: SourceFile, file_mb: int) -> Snapshot:
    """Gives the bytes of `file`: all of one state, or none.

    Raises ``Refused`` for a file that is gone, is no regular file, lies outside its source, is
    larger than `file_mb` million bytes, or is written to without a pause.
    """
    for pause in (*_PAUSES, None):
        try:
            return _read_local(file, file_mb) if file.root is not None else _read(file, file_mb)
        except _Changed:
            if pause is not None:
                time.sleep(pause)
        except Refused:
            raise
        except OSError as error:
            cause = scrub(error.strerror or str(error))
            raise Refused("unreadable", f"could not be read: {cause}") from error
        except Exception as error:  # the client of a store may raise anything
            raise Refused("unreadable", f"could not be read: {scrub(str(error))}") from error
    raise Refused("changed_while_read", "was written to each time it was read; try again later")


def _read_local(file: SourceFile, file_mb: int) -> Snapshot:
    # Opening a pipe would wait for a writer.
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as opened:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Refused("unreadable", "is no regular file")
        # Asked of what was opened: a link may have been put there since the listing.
        real = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - any bytes
        if not real.startswith(file.root.rstrip("/") + "/"):  # type: ignore[union-attr]
            raise Refused("outside_source", "is a link that leaves the source")
        if before.st_ctime_ns > time.time_ns() - _RACY_NS:
            time.sleep(_RACY_NS / 1e9)
            if _state(before) != _state(os.fstat(descriptor)):
                raise _Changed
        snapshot = _collected(_blocks(opened), before.st_size, file_mb)
        if _state(before) != _state(os.fstat(descriptor)):
            raise _Changed
    return snapshot


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(file: SourceFile, file_mb: int) -> Snapshot:
    if (file.size or 0) > file_mb * 1_000_000:
        raise _too_large(file_mb)
    if file.size is not None and file.size <= 32 * INLINE_BYTES:
        # One request, which an object store answers from one state of the object.
        content = file.filesystem.cat_file(file.path)
        return _collected(iter([content]), len(content), file_mb)
    before = file.filesystem.info(file.path)
    with file.filesystem.open(file.path, "rb") as opened:
        # A web server need not tell a size; whatever comes is then spooled.
        expected = INLINE_BYTES + 1 if file.size is None else file.size
        snapshot = _collected(_blocks(opened), expected, file_mb)
    file.filesystem.invalidate_cache(file.path.rpartition("/")[0])
    if file.filesystem.info(file.path) != before:
        raise _Changed
    return snapshot


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    while block := opened.read(_BLOCK):
        yield block


def _collected(blocks: Iterator[bytes], expected: int, file_mb: int) -> Snapshot:
    sha = hashlib.sha256()
    if expected <= INLINE_BYTES:
        held = bytearray()
        for block in blocks:
            sha.update(block)
            held += block
            if len(held) > 2 * INLINE_BYTES:
                raise _Changed  # it has grown since it was looked at
        return Snapshot(len(held), sha.hexdigest(), bytes(held))
    if expected > file_mb * 1_000_000:
        raise _too_large(file_mb)
    size = start = lines = lines_before = 0
    parts: list[Part] = []
    with contextlib.ExitStack() as on_error:
        spool = on_error.enter_context(tempfile.TemporaryFile(prefix="bonito-"))
        for block in blocks:
            sha.update(block)
            spool.write(block)
            end = block.rfind(b"\n") + 1
            if size + end - start >= PART_BYTES and end:
                lines += block.count(b"\n", 0, end)
                parts.append(Part(start, size + end - start, lines_before))
                start, lines_before = size + end, lines
            else:
                lines += block.count(b"\n")
            size += len(block)
            if size > file_mb * 1_000_000:
                raise _too_large(file_mb)
        spool.flush()
        spool.seek(0)
        on_error.pop_all()
    if size > start:
        parts.append(Part(start, size - start, lines_before))
    return Snapshot(size, sha.hexdigest(), spool, tuple(parts))  # type: ignore[arg-type]


def _too_large(file_mb: int) -> Refused:
    return Refused("too_large", f"is larger than limits.file_mb ({file_mb}) million bytes")
