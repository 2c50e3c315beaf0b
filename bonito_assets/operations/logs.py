"""The logs of engines, as a step shows them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg


def log_link(file: Path) -> dict[str, dg.MetadataValue]:
    """Gives the metadata ``engine log``: where `file` lies, nothing if no engine was started."""
    return {"engine log": dg.MetadataValue.path(str(file))} if file.exists() else {}
