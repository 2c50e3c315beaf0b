"""Runs every benchmark and writes RESULTS.md: `make bench`."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

BENCHMARKS = ("generation", "demo_checkpoint")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    sections = [
        "# Results",
        "",
        "Made by `make bench`. Arms run in turns in one process; machines differ, so the ratios "
        "are what to read.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores {platform.machine()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(
            f"{name} {importlib.metadata.version(name)}"
            for name in ("dagster", "duckdb", "torch", "transformers")
        ),
    ]
    for name in BENCHMARKS:
        print(f"measuring {name} ...", flush=True)
        sections += ["", importlib.import_module(f"benchmarks.{name}").measure()]
    RESULTS.write_text("\n".join(sections) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
