"""The checksums of a release: whether every file is still the one that was published."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from bonito_assets.identity import digest
from bonito_assets.publishing.release import (
    RELEASE,
    RELEASES,
    SPLITS,
    add_rows,
    data_files,
    record,
)
from bonito_assets.publishing.rows import SCHEMA
from resources.store import Digest

# The form that `sha256sum --check` reads, so that nobody needs this program to check a release.
SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sha256(path: Path) -> str:
    """Gives the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Writes the checksum of every file of the release in `folder`."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in _files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def verify(folder: Path) -> list[str]:
    """Gives what is wrong with a release, a sentence for each problem; none when it is whole.

    Files are compared with the checksums, and the rows with the version, which is their digest.
    Earlier releases under ``releases/`` stand for themselves and are not looked at.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return [f"{folder}: {SUMS} cannot be read: publish the dataset again"]
    problems = []
    due: dict[str, str] = {}
    for line in text.splitlines():
        if found := _LINE.fullmatch(line):
            due[found[2]] = found[1]
        else:
            problems.append(f"{SUMS}: a line is no checksum and name: {line[:80]!r}")
    there = set(_files(folder))
    problems += [f"{name}: missing" for name in sorted(due.keys() - there)]
    problems += [f"{name}: not of this release" for name in sorted(there - due.keys())]
    for name in sorted(due.keys() & there):
        if sha256(folder / name) != due[name]:
            problems.append(f"{name}: its content is not what was published")
    if not problems and RELEASE in due and version_of(folder) != record(folder)["version"]:
        problems.append(f"{RELEASE}: the rows are not those of the version that it names")
    return problems


def version_of(folder: Path) -> str:
    """Gives the version that the rows in `folder` have, read anew."""
    contents = {split: Digest(SCHEMA) for split in SPLITS}
    for split, path in data_files(folder).items():
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                add_rows(contents[split], file.read_row_group(group))
    return digest(*(content.hexdigest() for content in contents.values()))[:16]


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in (RELEASES, SUMS):
            yield name.as_posix()
