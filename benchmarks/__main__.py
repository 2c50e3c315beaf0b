"""Runs benchmarks and writes their sections of RESULTS.md: all of them, or those that are named."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

BENCHMARKS = (
    "ingestion",
    "chunking",
    "generation",
    "memory",
    "cache",
    "trace",
    "ticks",
    "estimates",
    "parsing",
    "curation",
    "contamination",
    "dedup",
    "duplicate_rows",
    "tuning",
    "evaluation",
    "demo_checkpoint",
    "gpu_generation",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Made by `make bench`; `python -m benchmarks NAME...` renews single sections. Arms run in turns in
one process or on one machine; machines differ, so the ratios are what to read.
"""
# Each section stands between its own mark and the next one's.
_MARK = "<!-- benchmark: {} -->"
_SECTION = re.compile(r"<!-- benchmark: (\w+) -->\n(.*?)(?=\n<!-- benchmark: |\Z)", re.DOTALL)


def machine() -> str:
    """Gives the line that says when and with what a section was measured."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("dagster", "duckdb", "torch", "transformers")
    )
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def store(name: str, section: str) -> None:
    """Puts a section into RESULTS.md, in the place of its last one."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = dict(_SECTION.findall(old))
    sections[name] = f"{section.strip()}\n\n{machine()}\n"
    ordered = [(key, sections[key].strip()) for key in BENCHMARKS if key in sections]
    body = "\n\n".join(f"{_MARK.format(key)}\n{text}" for key, text in ordered)
    RESULTS.write_text(f"{_HEAD}\n{body}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or BENCHMARKS
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark '{name}'; there are: {', '.join(BENCHMARKS)}")
        print(f"measuring {name} ...", flush=True)
        store(name, importlib.import_module(f"benchmarks.{name}").measure())
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
