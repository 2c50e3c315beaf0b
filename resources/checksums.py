"""The checksums that lie beside what is published, so that a flipped bit is found later.

A folder has ``SHA256SUMS``, in the form that ``sha256sum --check`` reads. A table is one file, so
its checksum lies beside it under ``.data.parquet.sha256``. Between the two there is a moment: the
line for a new table is written before the table takes its place, and the old line goes after that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUMS = "SHA256SUMS"
# Earlier releases of a dataset stand for themselves: each has its own checksums.
_APART = ("releases", SUMS)
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sha256(path: Path) -> str:
    """Gives the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Writes the checksum of every file in `folder`; releases below it have their own."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def files(folder: Path) -> Iterator[str]:
    """Gives the names of the files that ``write_sums`` covers."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in _APART:
            yield name.as_posix()


def compare(folder: Path) -> tuple[list[str], list[str]]:
    """Gives a sentence for each file that is not what was published, and the names of new files.

    Raises ``OSError`` or ``UnicodeDecodeError`` when the checksums cannot be read.
    """
    problems = []
    due: dict[str, str] = {}
    for line in (folder / SUMS).read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        if found := _LINE.fullmatch(line):
            due[found[2]] = found[1]
        else:
            problems.append(f"{SUMS}: a line is no checksum and name: {line[:80]!r}")
    there = set(files(folder))
    problems += [f"{name}: missing" for name in sorted(due.keys() - there)]
    for name in sorted(due.keys() & there):
        if sha256(folder / name) != due[name]:
            problems.append(f"{name}: its content is not what was published")
    return problems, sorted(there - due.keys())


class SummedFile:
    """A file to write to, with the SHA-256 of what was written."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Writes `data`."""
        self._sha.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hands what was written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Does nothing: whoever opened the file closes it."""

    def hexdigest(self) -> str:
        """Gives the SHA-256 of all that was written, in hexadecimal."""
        return self._sha.hexdigest()
