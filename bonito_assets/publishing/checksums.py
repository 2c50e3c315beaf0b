"""The checksums of a release: whether every file is still the one that was published."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from bonito_assets.identity import digest
from bonito_assets.publishing.release import (
    RELEASE,
    SPLITS,
    add_rows,
    data_files,
    record,
)
from bonito_assets.publishing.rows import SCHEMA
from resources.checksums import SUMS, compare
from resources.store import Digest


def verify(folder: Path) -> list[str]:
    """Gives what is wrong with a release, a sentence for each problem; none when it is whole.

    Files are compared with the checksums, and the rows with the version, which is their digest.
    Earlier releases under ``releases/`` stand for themselves and are not looked at.
    """
    try:
        problems, new = compare(folder)
    except (OSError, UnicodeDecodeError):
        return [f"{folder}: {SUMS} cannot be read: publish the dataset again"]
    problems += [f"{name}: not of this release" for name in new]
    if (
        not problems
        and (folder / RELEASE).exists()
        and version_of(folder) != record(folder)["version"]
    ):
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
