"""Resident memory of the `generations` step as the number of requests grows.

The generator is a rule that answers at once, so that 200,000 requests take a minute; everything
above it is the real thing: plan, cache, Parquet segments, table, books. Each size runs in a process
of its own, whose peak is read at the end.
"""

from __future__ import annotations

import argparse
import ast
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import pyarrow as pa

from bonito_assets import settings, tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.refresh import refresh
from resources.generator import Outcome, Request
from resources.model import Model, resolve
from resources.store import BATCH_ROWS, Store

SIZES = (2_000, 20_000, 200_000)
_TASK_TYPES = ["exqa", "ynqa", "nli", "summarization"]
_WINDOW = 512


class AtOnce:
    """A generator that answers every request at once with a text of ordinary length."""

    cards = 1
    price_per_gpu_hour = 0.0

    def resolve(self) -> Model:
        """Gives the demonstration checkpoint, for its name and its window."""
        return resolve(str(settings.DEMO_MODEL), "BONITO_MODEL")

    @contextmanager
    def open(self, log: object) -> Iterator[AtOnce]:
        """Hands out itself."""
        yield self

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Answers in another order than it was asked, as an engine does."""
        waiting = iter(requests)
        while in_flight := list(islice(waiting, _WINDOW)):
            for request in reversed(in_flight):
                answer = f"{request.key}: " + "What does the passage say of this? " * 8
                text = "{{context}} " + answer + "\n<|pipe|>\n" + answer[:80]
                yield Outcome(request.key, text, "stop", 300, 80, -0.7)


def passages(number: int) -> Iterator[pa.RecordBatch]:
    """Gives rows of `chunks` with about 1,000 characters of text each."""
    for start in range(0, number, BATCH_ROWS):
        texts = [f"Passage {i}. " + f"Words {i * 7919 % 10_007} of it. " * 50
                 for i in range(start, min(start + BATCH_ROWS, number))]  # fmt: skip
        rows = [
            {"corpus": "memory", "chunk_id": f"{start + i:032x}", "doc_id": f"{start + i:032x}",
             "position": 0, "start_char": 0, "end_char": len(text), "text": text, "n_tokens": 300,
             "units": ["paragraph"]}
            for i, text in enumerate(texts)
        ]  # fmt: skip
        yield from tables.build("chunks", rows).to_batches()


def prepare(folder: str, requests: int) -> None:
    """Writes the passages that so many requests are about."""
    number = requests // len(_TASK_TYPES)
    Store(root=folder).write_batches("chunks", "memory", tables.CHUNKS, passages(number))


def run(folder: str, requests: int) -> tuple[float, float]:
    """Gives peak resident MB and seconds of a refresh of so many requests."""
    corpus = Corpus(name="memory", folder="/", source={"files": "x"}, task_types=_TASK_TYPES)
    started = time.monotonic()
    made = refresh(Store(root=folder), corpus, AtOnce(), "benchmark", lambda line: None)
    if made.books.accepted != requests or made.books.doubled:
        raise RuntimeError(f"{made.books.accepted:,} rows instead of {requests:,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, time.monotonic() - started


def elsewhere(function: str, folder: str, requests: int) -> str:
    """Gives what a function of this module prints in a process of its own."""
    code = f"from benchmarks import memory; print(memory.{function}({folder!r}, {requests}))"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure(sizes: Iterable[int] = SIZES) -> str:
    """Gives the section of RESULTS.md."""
    lines = [
        "## Memory of the `generations` step",
        "",
        f"`python -m benchmarks.memory --sizes {' '.join(str(size) for size in sizes)}`: a "
        "generator that answers at once; plan, cache, segments, table and books as in a refresh; "
        "each size in a process of its own.",
        "",
        "| requests | peak resident MB | ratio | requests/s |",
        "| ---: | ---: | ---: | ---: |",
    ]
    first = None
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            elsewhere("prepare", folder, size)
            peak, seconds = ast.literal_eval(elsewhere("run", folder, size))
        first = first or peak
        lines.append(f"| {size:,} | {peak:.0f} | {peak / first:.3f} | {size / seconds:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    print(measure(parser.parse_args().sizes))


if __name__ == "__main__":
    main()
