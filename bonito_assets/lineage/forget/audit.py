"""The record of what was forgotten, when and by whom, without a word of what it said."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from bonito_assets.lineage.tombstones import FOLDER
from resources.store import Store, sync_folder

_NAME = "audit.jsonl"


def who() -> str:
    """Gives the name of the person in whose name this process runs."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def append(store: Store, entry: dict[str, Any]) -> None:
    """Adds one line to ``<root>/forgotten/audit.jsonl``, which is on disk when the call returns."""
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
    path = url_to_fs(store.uri(FOLDER, _NAME))[1]
    if store.is_local:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(Path(path).parent)
        return
    # An object cannot be added to.
    before = store.filesystem.cat_file(path) if store.filesystem.exists(path) else b""
    with store.new_file(FOLDER, _NAME) as file:
        file.write(before + line)
