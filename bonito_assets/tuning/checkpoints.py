"""Checkpoints of a training run, so that one that is killed goes on where it was.

A checkpoint counts once a last file, ``whole.json``, says so; that file is written when all others
are on disk. So a run may be killed in the middle of saving too: the half is deleted and the
checkpoint before it is still there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fsspec.core import url_to_fs

from resources.store import Store, sync_folder, sync_tree

_WHOLE = "whole.json"
_NAME = "checkpoint-"  # as transformers names them, the step behind it


def place(store: Store, *parts: str) -> Path:
    """Gives the folder for the unfinished training of a published model, hidden beside it.

    A root that is not of this machine gets it in the folder for temporary files.
    """
    *above, name = parts
    root = store.root if store.is_local else f"{tempfile.gettempdir()}/bonito"
    return Path(url_to_fs(root)[1]).joinpath(*above, ".checkpoints", name)


@dataclass(frozen=True)
class Progress:
    """How far a checkpoint is: steps, seconds of training so far, and where it was gone on from."""

    step: int = 0
    seconds: float = 0.0
    resumed_at: tuple[int, ...] = ()


class Checkpoints:
    """The checkpoints of one run in a folder of its own; ``key`` stands for all it depends on."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key

    def latest(self) -> tuple[Path | None, Progress]:
        """Gives the last whole checkpoint, if any, and how far it is.

        What is not whole is deleted, and so is what other keys left: data or settings have
        changed since, and nothing can go on from there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.parent.iterdir():
            if other != self.folder:
                shutil.rmtree(other)
        found: list[tuple[int, Path]] = []
        for path in self.folder.glob(f"{_NAME}*"):
            if (path / _WHOLE).exists():
                found.append((int(path.name.removeprefix(_NAME)), path))
            else:
                shutil.rmtree(path)
        if not found:
            return None, Progress()
        step, path = max(found)
        said = json.loads((path / _WHOLE).read_text(encoding="utf-8"))
        return path, Progress(step, said["seconds"], tuple(said["resumed_at"]))

    def declare_whole(self, progress: Progress) -> None:
        """Puts the checkpoint of `progress` on disk for good, and deletes those before it."""
        path = self.folder / f"{_NAME}{progress.step}"
        sync_tree(path)
        said = {"seconds": progress.seconds, "resumed_at": progress.resumed_at}
        temporary = path / f".{_WHOLE}"
        temporary.write_text(json.dumps(said), encoding="utf-8")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path / _WHOLE)
        sync_folder(path)
        sync_folder(self.folder)
        for other in self.folder.glob(f"{_NAME}*"):
            if other != path:
                # Its mark goes first: a half-deleted checkpoint must not count.
                (other / _WHOLE).unlink(missing_ok=True)
                shutil.rmtree(other)
