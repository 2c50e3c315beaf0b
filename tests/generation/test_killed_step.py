"""A step that is killed at any moment has lost nothing that was written, and doubles nothing."""

import random
import subprocess
import sys
import time

import psutil
import pytest

from resources.store import Store

SEGMENT = 256
CANARIES = 4


def start(root, number, loop, log):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.generation.step", str(root), str(number), loop, str(log)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answered(log):
    return log.stat().st_size if log.exists() else 0


def kill_in_the_middle(root, number, loop, log, moment):
    """Kills the step `moment` seconds after the first answer; gives False if it was faster."""
    before = answered(log)
    process = start(root, number, loop, log)
    while answered(log) == before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    was_killed = process.wait() != 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, "processes outlived their step"
    return was_killed


@pytest.mark.parametrize(
    ("kills", "number"), [(2, 300), pytest.param(50, 1000, marks=pytest.mark.slow)]
)
def test_killed_at_random_points(tmp_path, kills, number):
    chance = random.Random(0)
    killed = 0
    while killed < kills:
        # After a few kills a corpus is done: then the next one begins.
        place = tmp_path / f"after {killed} kills"
        place.mkdir()
        killed += refresh_under_kills(place, number, min(4, kills - killed), chance)


def refresh_under_kills(place, number, kills, chance):
    """Refreshes a corpus that is killed up to `kills` times; gives how often it was."""
    root, log, loop = place / "data", place / "answered", "tests.generation.step:CountedLoop"
    killed = 0
    for _ in range(kills):
        killed += kill_in_the_middle(root, number, loop, log, chance.uniform(0, 0.4))
    last = start(root, number, loop, log)
    assert last.wait(timeout=120) == 0
    table = Store(root=str(root)).read("generations", "c")
    assert table.num_rows == 2 * number
    assert len(table["generation_id"].unique()) == 2 * number
    assert table["output"].null_count == 0
    regenerated = answered(log) - 2 * number - CANARIES * (kills + 1)
    assert regenerated <= SEGMENT * killed
    return killed
