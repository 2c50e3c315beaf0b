"""Where engines write what vLLM and torch say: a file per run and step, found again afterwards.

They say hundreds of lines for each one of ours, which would drown the log of a run; and of an
engine that died, they are all that is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

FOLDER = "logs"
# Long enough to come back from a holiday and ask why a run failed.
KEPT_DAYS = 30
# A start takes some 20 kB and a traceback 10: more than this is a loop, of which the end is enough.
MOST_BYTES = 16 << 20

# Of the step that this process runs. Not a context variable: an engine may start in any thread.
_step_file: Path | None = None


@contextlib.contextmanager
def engine_log(root: str, run_id: str, step: str) -> Iterator[Path]:
    """Hands out the file that engines started within the block write to: logs/<run>/<step>.log.

    It lies under `root`, the data folder, or under the temporary folder where `root` is a URL; the
    first engine makes it. Files of earlier runs are deleted after 30 days.
    """
    global _step_file
    folder = log_folder(root)
    _sweep(folder)
    _step_file = folder / run_id / f"{step}.log"
    try:
        yield _step_file
    finally:
        _step_file = None


def log_folder(root: str) -> Path:
    """Gives the folder of all engines' logs for the data under `root`."""
    if "://" in root:
        # An engine writes into a file that is open, which an object store does not have.
        return Path(tempfile.gettempdir()) / f"bonito-logs-{os.getuid()}"
    return Path(root) / FOLDER


def _sweep(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86_400
    for run in folder.glob("*/"):
        with contextlib.suppress(OSError):  # another step may sweep too, or start to write
            if all(file.stat().st_mtime < oldest for file in [run, *run.iterdir()]):
                shutil.rmtree(run)


class LogFile:
    """What one engine writes: the end of its step's file, or outside a step a file of its own."""

    def __init__(self) -> None:
        self._is_of_a_step = _step_file is not None
        if _step_file is None:
            handle, name = tempfile.mkstemp(prefix="bonito-engine-", suffix=".log")
            os.close(handle)
            self.path = Path(name)
        else:
            self.path = _step_file
            # Only for us: a temporary folder is shared, and a log names paths and machines.
            for folder in (self.path.parent.parent, self.path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(f"--- an engine starts, {datetime.now(UTC):%F %T} UTC ---\n".encode())
        self._start = self.path.stat().st_size

    def open(self) -> IO[bytes]:
        """Opens it so that every write lands at its end, wherever that is by then."""
        return self.path.open("ab", buffering=0)

    def lines(self) -> list[str]:
        """Gives what this engine has written; nothing where the file was deleted meanwhile."""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace").splitlines()
        return []

    def cap(self) -> None:
        """Drops the older half of a file that grew above 16 MiB."""
        # The engine holds it open and appends, so it is shortened in place.
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > MOST_BYTES:
                with self.path.open("r+b") as file:
                    file.seek(-MOST_BYTES // 2, os.SEEK_END)
                    rest = file.read()
                    file.truncate(0)
                with self.open() as file:
                    file.write(b"--- earlier lines were dropped here ---\n" + rest)
                self._start = 0

    def close(self) -> None:
        """Deletes it where it is nobody's record: an engine outside a step that ended well."""
        if not self._is_of_a_step:
            self.path.unlink(missing_ok=True)
