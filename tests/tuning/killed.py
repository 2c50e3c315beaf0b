"""Trainings that are killed with SIGKILL and started again, each in a process of its own.

``python -m tests.tuning.killed FOLDER KILLS`` writes ``FOLDER/report.json``. One process imports
the libraries once and forks; a fork that is killed is as dead as any process, and starts in
milliseconds. Half of the kills come at a random moment, half while a checkpoint is being written.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from bonito_assets import settings
from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.base_model import load_tokenizer
from bonito_assets.tuning.examples import examples
from bonito_assets.tuning.lora import Job, train_on
from bonito_assets.tuning.prompts import Encoder
from bonito_assets.tuning.record import adapter_digest
from resources import threads
from resources.model import resolve

STEPS = 16
SETTINGS = Tuning(max_steps=STEPS, batch_size=2, max_tokens=64, lora_r=4, learning_rate=1e-3)


def job(place):
    """Gives a training of the demonstration's base model that keeps its unfinished runs."""
    base = resolve(str(settings.DEMO_BASE_MODEL), "BONITO_BASE_MODEL")
    rows = [
        {
            "generation_id": f"g{n}",
            "chunk_id": "c",
            "input": f"The river has {n} bridges and {n * n} boats.\n\nHow many bridges are there?",
            "output": str(n),
        }
        for n in range(50)
    ]
    encoder = Encoder(load_tokenizer(base))
    learned = examples(rows[:40], {}, encoder, 64)
    held_out = examples(rows[40:], {}, encoder, 64)
    place.mkdir(parents=True, exist_ok=True)
    # Saved after each step.
    return Job(base, learned, held_out, SETTINGS, place, place / "unfinished", 0.0)


def fork(place):
    """Trains in `place` in a process of its own and gives its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        outcome = train_on(job(place), lambda line: None)
        said = {
            "losses": outcome.losses,
            "validation_loss": outcome.validation_loss,
            "resumed_at": outcome.resumed_at,
            "adapter": adapter_digest(place),
        }
        (place / "outcome.json").write_text(json.dumps(said))
        code = 0
    finally:
        os._exit(code)


def finish(place):
    """Trains in `place` to the end and gives what came of it."""
    _, status = os.waitpid(fork(place), 0)
    return json.loads((place / "outcome.json").read_text()) if status == 0 else None


def checkpoints(place, whole):
    """Gives the checkpoints in `place` that are whole, or those that are not."""
    found = (place / "unfinished").glob("*/checkpoint-*")
    return [path for path in found if (path / "whole.json").exists() == whole]


def kill(place, chance, seconds, saving):
    """Kills a training in `place`; gives None where it was faster, else what was on disk."""
    pid = fork(place)
    moment = time.monotonic() + chance.uniform(0, seconds)
    while time.monotonic() < moment or (saving and not checkpoints(place, whole=False)):
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return None
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        return None
    steps = [int(path.name.partition("-")[2]) for path in checkpoints(place, whole=True)]
    return {"whole": max(steps, default=None), "halves": len(checkpoints(place, whole=False))}


def main(folder, kills):
    threads.spare(resolve(str(settings.DEMO_BASE_MODEL), "BONITO_BASE_MODEL"))
    import peft  # noqa: F401
    import trl  # noqa: F401

    chance = random.Random(0)
    began = time.monotonic()
    clean = finish(folder / "clean")
    seconds = time.monotonic() - began
    found = []
    while len(found) < kills:
        place = folder / f"killed {len(found)}"
        killed = kill(place, chance, seconds, saving=len(found) % 2 == 1)
        if killed is None:
            shutil.rmtree(place)
        else:
            found.append({**killed, "after": finish(place)})
    (folder / "report.json").write_text(json.dumps({"clean": clean, "killed": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
