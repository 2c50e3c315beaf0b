"""What a tick of each sensor costs when twenty corpora are watched and nothing has changed."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import dagster as dg

from bonito_assets.automation.catalogue_watch import catalogue_watch
from bonito_assets.automation.source_watch import source_watch
from tests.automation.platform import CHAIN, MODEL, Platform

CORPORA = 20
QUIET_TICKS = 20
# Hub ids, so that no model has to lie on this machine.
MODELS = {"BONITO_MODEL": "owner/model", "BONITO_BASE_MODEL": "owner/base"}


def timed(tick: Callable[[], object]) -> tuple[float, float]:
    """Gives wall and CPU seconds of one tick."""
    wall, cpu = time.perf_counter(), time.process_time()
    tick()
    return time.perf_counter() - wall, time.process_time() - cpu


def row(name: str, first: tuple[float, float], quiet: list[tuple[float, float]]) -> str:
    """Gives a line of the table: the first tick, and those in which nothing had changed."""
    walls, cpus = zip(*quiet, strict=True)
    return (
        f"| {name} | {first[0]:.2f} s | {statistics.median(walls):.3f} s | {max(walls):.3f} s | "
        f"{statistics.mean(cpus):.3f} s |"
    )


def measure() -> str:
    """Gives the section of RESULTS.md."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, MODELS):
        (Path(folder) / "home").mkdir()
        with dg.DagsterInstance.local_temp(str(Path(folder) / "home")) as instance:
            platform = Platform(instance, Path(folder) / "corpora")
            names = [f"corpus{number:02}" for number in range(CORPORA)]
            for name in names:
                platform.write(name, refresh="0 3 * * *")
            ticks: dict[str, Callable[[], object]] = {
                "catalogue_watch": lambda: platform.tick(catalogue_watch),
                "source_watch": lambda: platform.tick(source_watch),
                "refresh_on_schedule": platform.schedule,
                "renewal": platform.renew,
            }
            first = {name: timed(tick) for name, tick in ticks.items()}
            platform.watch()
            for name in names:
                platform.run(name, [MODEL, *CHAIN])
            platform.run(names[0], ["instruction_mixture"])
            platform.settle(5)
            quiet = {
                name: [timed(tick) for _ in range(QUIET_TICKS)] for name, tick in ticks.items()
            }
    return "\n".join(
        [
            f"## A tick over {CORPORA} corpora",
            "",
            "`python -m benchmarks ticks`: the real sensors over a real instance, the assets' "
            f"bodies do nothing. First: with {CORPORA} new catalogue files (ten are taken in per "
            f"tick). Quiet: {QUIET_TICKS} ticks each in which nothing had changed; `renewal` "
            "through Dagster's own function for tests, which does more than the daemon. "
            f"Load {os.getloadavg()[0]:.1f}.",
            "",
            "| sensor | first | quiet, median | quiet, longest | quiet, CPU |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(row(name, first[name], quiet[name]) for name in ticks),
        ]
    )


if __name__ == "__main__":
    print(measure())
