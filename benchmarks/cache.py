"""What the generation cache costs: an append, a compaction, and "what is missing" at scale.

Each part runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from resources.generation_cache import SCHEMA, Found, GenerationCache
from resources.generator import Outcome
from resources.store import Store

T = TypeVar("T")
BATCH = 4096
SEGMENTS = 127  # one more and the writer would merge them
SEGMENT_ROWS = 256
RUN = 16  # the task types of one passage
MODEL = "0123456789abcdef0123456789abcdef"
RUN_ID = "01234567-89ab-cdef-0123-456789abcdef"
SAMPLING = '{"max_tokens":256,"temperature":0.5,"top_p":0.95}'


@dataclass(frozen=True)
class Looking:
    """What one question cost: time, CPU time, memory above the start, and reading the answer."""

    seconds: float
    cpu_seconds: float
    memory: int
    rows_per_second: float
    reordered_rows_per_second: float
    scattered_rows_per_second: float


def keys(rows: int, first: int = 0) -> Iterator[list[str]]:
    """Gives the random keys `first` to ``first + rows`` in batches; `first` starts a batch."""
    for start in range(first, first + rows, BATCH):
        digits = np.random.default_rng(start).bytes(BATCH * 16).hex()
        count = min(BATCH, first + rows - start)
        yield [digits[at : at + 32] for at in range(0, count * 32, 32)]


def outputs(rows: int) -> Iterator[list[str]]:
    """Gives batches of outputs of 60 words each, about 300 characters, drawn from 5,000 words."""
    random = np.random.default_rng(0)
    words = [random.bytes(4).hex()[: 2 + number % 7] for number in range(5000)]
    for start in range(0, rows, BATCH):
        drawn = random.integers(0, len(words), (min(BATCH, rows - start), 60)).tolist()
        yield [" ".join([words[number] for number in numbers]) for numbers in drawn]


def append(root: str) -> tuple[float, float]:
    """Gives seconds per segment of 256 rows, and rows per second of compaction."""
    cache = GenerationCache(Store(root=root))
    rows = SEGMENTS * SEGMENT_ROWS
    pairs = zip(chain(*keys(rows)), chain(*outputs(rows)), strict=True)
    outcomes = [Outcome(key, output, "stop", 400, 90, -0.5) for key, output in pairs]
    started = time.monotonic()
    with cache.writer() as writer:
        for outcome in outcomes:
            writer.add(outcome, model=MODEL, task_type="nli")
    appended = time.monotonic()
    cache.compact()
    return (appended - started) / SEGMENTS, rows / (time.monotonic() - appended)


def fill(root: str, rows: int) -> None:
    """Writes `rows` rows in larger segments than a writer would, and compacts as it would."""
    cache = GenerationCache(Store(root=root))
    for number, (batch, texts) in enumerate(zip(keys(rows), outputs(rows), strict=True)):
        now = datetime.now(UTC)
        values = [batch, texts, "stop", 400, 90, -0.5, now, None, MODEL, "nli", RUN_ID, SAMPLING]
        columns = [
            pa.array(value, field.type)
            if isinstance(value, list)
            else pa.repeat(pa.scalar(value, field.type), len(batch))
            for value, field in zip(values, SCHEMA, strict=True)
        ]
        cache.write(pa.table(columns, schema=SCHEMA))
        if number % 100 == 99:
            cache.compact()
    cache.compact()


def look(root: str, rows: int) -> Looking:
    """Asks for `rows` keys, of which about half are cached."""
    cache = GenerationCache(Store(root=root))
    asked = [pa.array(batch) for batch in keys(rows, rows // 2 // BATCH * BATCH)]
    memory, started, cpu = peak(), time.monotonic(), time.process_time()
    found = cache.find(asked)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    memory = peak() - memory
    cached = int(found.present.sum())
    assert cached == rows - rows // 2 // BATCH * BATCH
    assert cached + int(found.missing.sum()) == rows
    return Looking(
        seconds,
        cpu,
        memory,
        reading(found, min(cached, 50 * BATCH)),
        *(
            reading(cache.find([reordered(rows, run)]), min(rows, BATCH) // run * run)
            for run in (RUN, 1)
        ),
    )


def reordered(rows: int, run: int) -> list[str]:
    """Gives a batch of the cached keys, in random order but for runs of `run` neighbours."""
    ordered = list(chain(*keys(rows)))
    starts = np.random.default_rng(0).permutation(rows // run)[: BATCH // run] * run
    return [ordered[start + step] for start in starts.tolist() for step in range(run)]


def reading(found: Found, rows: int) -> float:
    """Gives the rows per second at which the first `rows` rows of the answer are read."""
    started = time.monotonic()
    for start in range(0, rows, BATCH):
        found.rows(start, min(start + BATCH, rows))
    return rows / (time.monotonic() - started)


def peak() -> int:
    """Gives the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(part: Callable[..., T], *arguments: object) -> T:
    """Runs `part` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(part, arguments)


def measure(rows: int = 1_000_000) -> str:
    """Gives the section of RESULTS.md."""
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        per_segment, compaction = alone(append, small)
        alone(fill, large, rows)
        files = [file.stat().st_size for file in Path(large).rglob("*.parquet")]
        cost = alone(look, large, rows)
    return "\n".join(
        [
            "## Generation cache: what is missing, and what a row costs",
            "",
            f"`python -m benchmarks.cache --rows {rows}`: {rows:,} cached rows in {len(files)} "
            f"files of {sum(files) / 1e6:,.0f} MB, {rows:,} keys asked for, half of them cached; "
            f"load {os.getloadavg()[0]:.1f}.",
            "",
            "| what | figure |",
            "| --- | ---: |",
            f"| find what is missing, all files used verified | {cost.seconds:.2f} s |",
            f"| the same, CPU time | {cost.cpu_seconds:.2f} s |",
            f"| the same, memory above the start | {cost.memory / 1e6:,.0f} MB |",
            f"| read cached rows in the order of generation | {cost.rows_per_second:,.0f} rows/s |",
            f"| the same, passages in random order, {RUN} rows each | "
            f"{cost.reordered_rows_per_second:,.0f} rows/s |",
            "| the same, every row in random order | "
            f"{cost.scattered_rows_per_second:,.0f} rows/s |",
            f"| append a segment of {SEGMENT_ROWS} rows | {per_segment * 1000:.2f} ms |",
            f"| compaction | {compaction:,.0f} rows/s |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="cached rows, and keys asked")
    print(measure(parser.parse_args().rows))


if __name__ == "__main__":
    main()
