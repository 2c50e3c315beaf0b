"""Searches every byte of folders for what was forgotten, also where it is packed or encoded."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.values import text_bytes

# Where a zlib or gzip stream may begin; three of four such places in random bytes are none, which
# shows after some bytes.
_STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_PARQUET = b"PAR1"
# A stretch of so many such characters may be base64. They are looked for in a copy of the bytes
# that says of each only whether it is one, since a pattern would try at every byte.
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IS_BASE64 = bytes(byte in _BASE64 for byte in range(256))
_STRETCH = bytes([1]) * 64
_ANY_HEADER = 47  # the largest window, and 32 to tell zlib from gzip (zlib's manual, inflateInit2)
_ZSTD = b"\x28\xb5\x2f\xfd"
# What one stream is unpacked to at most, and what is looked at of a file at once.
_MOST_UNPACKED = 1 << 26
_GLIMPSE = 256
_BLOCK = 1 << 24
_BATCH_ROWS = 4096


@dataclass
class Searched:
    """How much was searched, and in which files something was found or nothing could be read."""

    files: int = 0
    bytes: int = 0
    found: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def search(roots: Sequence[str], fingerprints: Fingerprints) -> Searched:
    """Gives what a search of every file under `roots`, paths or fsspec URLs, found.

    Looked at are the bytes as they are (free pages of SQLite and its logs among them), the values
    inside Parquet, and what is packed by zlib, gzip or zstd or written in base64. A file that is
    gone meanwhile counts as searched.
    """
    done = Searched()
    for root in roots:
        filesystem, path = fsspec.core.url_to_fs(root)
        filesystem.invalidate_cache()
        for name, size in sorted(filesystem.find(path, detail=True, withdirs=False).items()):
            done.files += 1
            done.bytes += size["size"] or 0
            try:
                with filesystem.open(name, "rb") as file:
                    if is_in_file(file, fingerprints):
                        done.found.append(name)
            except FileNotFoundError:
                pass
            except (pa.ArrowException, OSError):  # Parquet that is cut off or damaged
                done.unreadable.append(name)
    return done


def is_in_file(file: BinaryIO, fingerprints: Fingerprints) -> bool:
    """Tells whether a stretch of the texts stands in a file, in whatever form.

    Raises ``pa.ArrowException`` or ``OSError`` for Parquet that cannot be read.
    """
    begins = file.read(len(_PARQUET))
    file.seek(0)
    if begins == _PARQUET:
        return any(fingerprints.in_bytes(values) for values in _parquet_values(file))
    before = b""
    while block := file.read(_BLOCK):
        block = before + block
        if any(fingerprints.in_bytes(content) for content in _contents(block)):
            return True
        before = block[-(1 << 16) :] if len(block) >= _BLOCK else b""
    return False


def _parquet_values(file: BinaryIO) -> Iterator[bytes]:
    reader = pq.ParquetFile(file)
    # The footer holds the least and greatest value of each column, and whatever was noted there.
    yield repr(reader.metadata.metadata).encode()
    for group in range(reader.num_row_groups):
        for column in range(reader.metadata.num_columns):
            yield repr(reader.metadata.row_group(group).column(column).statistics).encode()
    for batch in reader.iter_batches(_BATCH_ROWS):
        for column in batch.columns:
            yield from text_bytes(column)


def _contents(block: bytes) -> Iterator[bytes]:
    yield block
    view = memoryview(block)
    for match in _STREAM.finditer(block):
        start = match.start()
        with contextlib.suppress(zlib.error):
            # Most places are none, which a few bytes show.
            zlib.decompressobj(_ANY_HEADER).decompress(view[start : start + _GLIMPSE])
            yield zlib.decompressobj(_ANY_HEADER).decompress(view[start:], _MOST_UNPACKED)
    for piece in _encoded(block):
        decoded = base64.b64decode(piece)
        yield decoded
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(_ANY_HEADER).decompress(decoded, _MOST_UNPACKED)
    start = block.find(_ZSTD)
    while start >= 0:
        with contextlib.suppress(pa.ArrowException, OSError):
            stream = pa.CompressedInputStream(io.BytesIO(view[start:]), "zstd")
            yield stream.read(_MOST_UNPACKED)
        start = block.find(_ZSTD, start + 4)


def _encoded(block: bytes) -> Iterator[bytes]:
    """Gives the stretches that may be base64, in whole groups of four characters."""
    is_base64 = block.translate(_IS_BASE64)
    start = is_base64.find(_STRETCH)
    while start >= 0:
        end = is_base64.find(0, start)
        end = len(block) if end < 0 else end
        yield block[start : start + (end - start) // 4 * 4]
        start = is_base64.find(_STRETCH, end)
