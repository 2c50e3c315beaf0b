"""Compressed files and archives, read member by member in memory: nothing is ever unpacked to disk.

Every stream counts what comes out of it against what went in, so that a bomb ends early.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.reading import Limits

_ZIP, _TAR = "application/zip", "application/x-tar"
CONTAINERS = frozenset({_ZIP, _TAR})
_SUFFIXES = {".gz", ".zst", ".bz2", ".xz"}
# Small archives may shrink beyond the ratio (a megabyte of blanks); this much is no danger.
_HARMLESS_BYTES = 64 << 20


def _zstd(file: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    return io.BufferedReader(
        _Arrow(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    )


COMPRESSIONS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "application/gzip": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item]
    "application/zstd": _zstd,
    "application/x-bzip2": bz2.BZ2File,
    "application/x-xz": lzma.LZMAFile,
}


@dataclass(frozen=True)
class Member:
    """One file of an archive; ``read`` gives its bytes or raises ``Refused``."""

    name: str
    read: Callable[[], bytes]


def decompressed(file: BinaryIO, media_type: str, size: int, limits: Limits) -> BinaryIO:
    """Gives what the compressed `file` of `size` bytes holds, as a stream that knows its limits.

    Reading raises ``Refused`` when it swells beyond them or is damaged.
    """
    return _Counted(COMPRESSIONS[media_type](file), _Allowance(size, limits))


def inner_name(name: str) -> str:
    """Gives the name of what a compressed file holds: "a.txt" for "a.txt.gz"."""
    path = PurePosixPath(name)
    if path.suffix.lower() in (".tgz", ".tbz2", ".txz"):
        return f"{path.stem}.tar"
    return path.stem if path.suffix.lower() in _SUFFIXES else name


def members(file: BinaryIO, media_type: str, size: int, limits: Limits) -> Iterator[Member]:
    """Gives the files of an archive of `size` bytes in their order.

    Folders and hidden files are passed over. A member that is a link, or whose path leaves the
    archive, comes out as one whose reading is refused. Raises ``Refused`` for a damaged archive,
    for one with too many members and for one that swells beyond the limits.
    """
    allowance = _Allowance(size, limits)
    found = _zip_members if media_type == _ZIP else _tar_members
    for number, member in enumerate(found(file, allowance)):
        if number >= limits.members:
            raise Refused(
                "unsafe_archive", f"holds more than {limits.members:,} files (limits.members)"
            )
        yield member


def _zip_members(file: BinaryIO, allowance: _Allowance) -> Iterator[Member]:
    if not file.seekable():
        raise Refused("unsafe_archive", "is an archive inside a compressed file; unpack it once")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise Refused("unreadable", f"is no whole ZIP archive: {error}") from error
    for info in archive.infolist():
        if info.is_dir() or _is_hidden(info.filename):
            continue

        def read(info: zipfile.ZipInfo = info) -> bytes:
            _refuse_stray(info.filename)
            if info.external_attr >> 16 & 0o170000 == 0o120000:
                raise Refused("outside_source", "is a link inside an archive")
            if info.flag_bits & 1:
                raise Refused("encrypted", "is encrypted; pack it again without a password")
            try:
                with archive.open(info) as stream:
                    return allowance.read_all(stream)
            except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
                raise Refused("unreadable", f"is damaged in its archive: {error}") from error
            except _UNPACKING as error:
                raise Refused("unreadable", f"is damaged in its archive: {error}") from error

        yield Member(info.filename, read)


def _tar_members(file: BinaryIO, allowance: _Allowance) -> Iterator[Member]:
    try:
        # "r|" reads forwards only, so a compressed archive is never unpacked as a whole.
        archive = tarfile.open(fileobj=file, mode="r|")  # noqa: SIM115
        for info in archive:
            if info.isdir() or _is_hidden(info.name):
                continue

            def read(info: tarfile.TarInfo = info) -> bytes:
                _refuse_stray(info.name)
                if not info.isreg():
                    raise Refused("outside_source", "is a link or a device inside an archive")
                stream = archive.extractfile(info)
                assert stream is not None  # a regular member has one
                return allowance.read_all(stream)

            yield Member(info.name, read)
    except (tarfile.TarError, EOFError, *_UNPACKING) as error:
        raise Refused("unreadable", f"is no whole tar archive: {error}") from error


def _refuse_stray(name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise Refused("outside_source", "has a path that leaves its archive")


def _is_hidden(name: str) -> bool:
    return any(
        (part.startswith(".") and part != "..") or part == "__MACOSX"
        for part in PurePosixPath(name.replace("\\", "/")).parts
    )


def _errors_of_unpacking() -> tuple[type[Exception], ...]:
    import zlib

    return (zlib.error, lzma.LZMAError, gzip.BadGzipFile)


_UNPACKING = _errors_of_unpacking()


class _Allowance:
    """How many bytes may still come out of an archive."""

    def __init__(self, size: int, limits: Limits) -> None:
        self._ratio = limits.ratio
        self._left = min(max(size * limits.ratio, _HARMLESS_BYTES), limits.file_mb * 1_000_000)

    def take(self, n: int) -> None:
        self._left -= n
        if self._left < 0:
            raise Refused(
                "unsafe_archive",
                f"grows to more than {self._ratio} times its size when it is unpacked "
                "(limits.ratio), or beyond limits.file_mb",
            )

    def read_all(self, stream: BinaryIO) -> bytes:
        content = bytearray()
        while block := stream.read(1 << 20):
            self.take(len(block))
            content += block
        return bytes(content)


class _Counted(io.RawIOBase):
    """A stream that is charged to an allowance; where it is damaged, ``Refused`` is raised.

    What stands before the damage is given first.
    """

    def __init__(self, inner: BinaryIO, allowance: _Allowance) -> None:
        self._inner = inner
        self._allowance = allowance
        self._damage: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        got = 0
        try:
            while self._damage is None and got < len(buffer):
                block = self._inner.read1(len(buffer) - got)  # type: ignore[attr-defined]
                if not block:
                    break
                buffer[got : got + len(block)] = block
                got += len(block)
        except (EOFError, OSError, *_UNPACKING) as error:
            self._damage = error
        if self._damage is not None and not got:
            sentence = f"is damaged where it is compressed: {self._damage}"
            raise Refused("unreadable", sentence) from self._damage
        self._allowance.take(got)
        return got


class _Arrow(io.RawIOBase):
    """pyarrow's decompressing stream as a Python file."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        block = self._inner.read(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(block)] = block
        return len(block)
