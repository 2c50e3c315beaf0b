"""Training on every card of a machine: one process per card, all under a guard.

torch's own launcher starts ``python -m bonito_assets.tuning.cards FOLDER`` for each card. FOLDER
holds the job; the first process leaves the outcome there, or the error. The lines that it logs
come back through a file. When the step dies, so do the processes: a card is never held by the dead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.examples import Examples
from resources import guard
from resources.model import Model

if TYPE_CHECKING:
    from bonito_assets.tuning.lora import Job, Outcome

_JOB, _OUTCOME, _ERROR = "job.json", "outcome.json", "error.txt"
_LINES = "lines.txt"
_TAIL_LINES = 20
_SECONDS_BETWEEN_LOOKS = 0.5


def usable(rows_per_step: int) -> int:
    """Gives how many processes can share a step evenly: one per card, one without cards."""
    import torch

    found = max(1, torch.cuda.device_count())
    return max(n for n in range(1, found + 1) if rows_per_step % n == 0)


def on_all(job: Job, log: Callable[[str], None]) -> Outcome:
    """Runs `job` in ``job.processes`` processes at once and gives its outcome.

    Raises ``TuningError`` with the message of the process that failed, or with the end of what
    the processes wrote.
    """
    from bonito_assets.tuning.lora import Outcome

    with tempfile.TemporaryDirectory(prefix="bonito-cards-") as name:
        folder = Path(name)
        _write(job, folder)
        tail = _launch(folder, job.processes, log)
        if (folder / _OUTCOME).exists():
            said = json.loads((folder / _OUTCOME).read_text(encoding="utf-8"))
            said["losses"] = [tuple(point) for point in said["losses"]]
            said["validation_loss"] = said["validation_loss"] and tuple(said["validation_loss"])
            return Outcome(**said)
        if (folder / _ERROR).exists():
            raise TuningError((folder / _ERROR).read_text(encoding="utf-8"))
    raise TuningError(
        f"training on {job.processes} cards ended without a result; the last that it wrote:\n{tail}"
    )


def _launch(folder: Path, processes: int, log: Callable[[str], None]) -> str:
    """Starts the processes, hands on their lines, and gives the end of their other output."""
    lifeline, held = os.pipe()
    output = folder / "output.txt"
    (folder / _LINES).touch()
    with os.fdopen(held, "wb"), output.open("wb") as file, (folder / _LINES).open() as told:
        try:
            process = subprocess.Popen(
                _command(folder, processes, lifeline, file.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(lifeline, file.fileno()),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        running = True
        while running:
            running = process.poll() is None
            for line in told:
                log(line.rstrip("\n"))
            time.sleep(_SECONDS_BETWEEN_LOOKS if running else 0)
    with output.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, _TAIL_LINES))


def _command(folder: Path, processes: int, lifeline: int, connection: int) -> list[str]:
    return [
        sys.executable, "-I", "-S", guard.__file__,
        str(lifeline), str(connection), str(os.getpid()),
        # Standalone: the launcher chooses a free port by itself.
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "-m", "bonito_assets.tuning.cards", str(folder),
    ]  # fmt: skip


def _write(job: Job, folder: Path) -> None:
    for name, rows in (("learned", job.learned), ("held_out", job.held_out)):
        table = pa.table({"input_ids": rows.input_ids, "labels": rows.labels})
        pq.write_table(table, folder / f"{name}.parquet")
    said = {
        "base": [job.base.name, str(job.base.folder), job.base.fingerprint],
        "shortened": job.learned.shortened,
        "left_out": job.learned.left_out,
        "settings": job.settings.model_dump(),
        "folder": str(job.folder),
        "checkpoints": job.checkpoints and str(job.checkpoints),
        "seconds_between_checkpoints": job.seconds_between_checkpoints,
        "processes": job.processes,
    }
    (folder / _JOB).write_text(json.dumps(said), encoding="utf-8")


def _read(folder: Path) -> Job:
    from bonito_assets.tuning.lora import Job

    said = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    name, place, fingerprint = said["base"]
    learned = _examples(folder / "learned.parquet")
    learned.shortened, learned.left_out = said["shortened"], said["left_out"]
    return Job(
        base=Model(name, Path(place), fingerprint),
        learned=learned,
        held_out=_examples(folder / "held_out.parquet"),
        settings=Tuning(**said["settings"]),
        folder=Path(said["folder"]),
        checkpoints=Path(said["checkpoints"]) if said["checkpoints"] else None,
        seconds_between_checkpoints=said["seconds_between_checkpoints"],
        processes=said["processes"],
    )


def _examples(path: Path) -> Examples:
    table = pq.read_table(path)
    columns = (
        [np.asarray(row.values, dtype=np.int32) for row in table[name]]
        for name in ("input_ids", "labels")
    )
    return Examples(*columns)


def main(folder: Path) -> None:
    """Does this process's share of the job in `folder`."""
    from bonito_assets.tuning.lora import run

    first = os.environ["RANK"] == "0"
    with (folder / _LINES).open("a", encoding="utf-8", buffering=1) as lines:
        try:
            outcome = run(_read(folder), lambda line: lines.write(line + "\n") if first else None)
        except ValueError as error:  # all that this project raises for people is one
            (folder / _ERROR).write_text(str(error), encoding="utf-8")
            raise
    if first:
        (folder / _OUTCOME).write_text(json.dumps(asdict(outcome)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
