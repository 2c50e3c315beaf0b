"""Removal of near-duplicates beside other tools, on text whose duplicates were planted.

Every arm reads the same Parquet file, in a process of its own that has compiled and imported
before the clock starts, and says which rows it leaves; arms take turns. The bound is what nobody
can do without: the file is read, and every shingle hashed once, on all cores. Other libraries are
no part of the project: ``pip install rensa datasketch`` brings them, and BENCH_DATATROVE names the
Python of an environment that has ``datatrove[io,processing]`` and spaCy, which do not install
beside the pins.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.cache import alone

THRESHOLD = 0.8
# The banding that datatrove has by default, and text-dedup and others recommend.
_BANDS, _ROWS_PER_BAND = 14, 8
_SHINGLE = 5
_SQL = Path(__file__).parents[1] / "tests/curation/duplicates/near_duplicates.sql"


class Run(NamedTuple):
    """What one run took, in seconds, CPU seconds and bytes, and the rows that it left."""

    seconds: float
    cpu: float
    memory: int
    kept: np.ndarray | None


def batches(path: str) -> Iterator[pa.ChunkedArray]:
    """Gives the texts of a Parquet file, row group by row group, read ahead on all cores."""
    from bonito_assets.curation.duplicates.threads import in_order

    def read(group: int) -> pa.ChunkedArray:
        return pq.ParquetFile(path).read_row_group(group, use_threads=False)["text"]

    yield from in_order(read, range(pq.ParquetFile(path).num_row_groups))


def bound(path: str) -> None:
    """Reads the file and hashes every shingle once."""
    from bonito_assets.curation.duplicates.threads import in_order
    from bonito_assets.curation.duplicates.words import ngrams, word_hashes

    def read(group: int) -> int:
        texts = pq.ParquetFile(path).read_row_group(group, use_threads=False)["text"]
        return len(ngrams(word_hashes(texts), _SHINGLE).hashes)

    for _ in in_order(read, range(pq.ParquetFile(path).num_row_groups)):
        pass


def ours(path: str) -> np.ndarray:
    """Leaves the first row of each family."""
    from bonito_assets.curation.duplicates.streaming import streamed_families

    rows = pq.ParquetFile(path).metadata.num_rows
    family = streamed_families(lambda: batches(path), rows, THRESHOLD, Path(path).parent)
    return family == np.arange(rows)


def sql(path: str) -> np.ndarray:
    """Leaves the first row of each family, by SQL alone."""
    import duckdb

    from bonito_assets.curation.duplicates.components import Components

    rows = pq.ParquetFile(path).metadata.num_rows
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(
            "create table texts as select file_row_number as row, text "
            "from read_parquet(?, file_row_number = true)",
            [path],
        )
        pairs = connection.execute(_SQL.read_text(), {"threshold": THRESHOLD}).fetchnumpy()
    components = Components(rows)
    components.join(pairs["left_row"], pairs["right_row"])
    return components.labels() == np.arange(rows)


def _shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))]


def rensa(path: str) -> np.ndarray:
    """Leaves the rows that rensa's own deduplicator takes as new."""
    from rensa import RMinHashDeduplicator

    tool = RMinHashDeduplicator(
        threshold=THRESHOLD, num_perm=_BANDS * _ROWS_PER_BAND, use_lsh=True, num_bands=_BANDS
    )
    kept: list[bool] = []
    for texts in batches(path):
        rows = enumerate(texts.to_pylist(), len(kept))
        kept += tool.add_pairs([(str(row), _shingles(text)) for row, text in rows])
    return np.array(kept)


def datasketch(path: str) -> np.ndarray:
    """Leaves the rows that share no bucket with an earlier one."""
    from datasketch import MinHash, MinHashLSH
    from xxhash import xxh32_intdigest

    tool = MinHashLSH(num_perm=_BANDS * _ROWS_PER_BAND, params=(_BANDS, _ROWS_PER_BAND))
    kept: list[bool] = []
    for texts in batches(path):
        shingles = [[s.encode() for s in _shingles(text)] for text in texts.to_pylist()]
        for made in MinHash.bulk(
            shingles, num_perm=_BANDS * _ROWS_PER_BAND, hashfunc=xxh32_intdigest
        ):
            new = not tool.query(made)
            if new:
                tool.insert(len(kept), made, check_duplication=False)
            kept.append(new)
    return np.array(kept)


def datatrove(path: str) -> np.ndarray:
    """Leaves what datatrove's four stages leave, with two workers and its default settings."""
    rows = pq.ParquetFile(path).metadata.num_rows
    script = Path(__file__).with_name("dedup_datatrove.py")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [os.environ["BENCH_DATATROVE"], str(script), path, folder],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        kept = np.zeros(rows, bool)
        kept[np.load(Path(folder, "kept.npy"))] = True
        return kept


ARMS: dict[str, Callable[[str], np.ndarray | None]] = {
    "the bound": bound,
    "this project": ours,
    "DuckDB SQL": sql,
    "rensa": rensa,
    "datasketch": datasketch,
    "datatrove": datatrove,
}


def missing(arm: str) -> str | None:
    """Gives why an arm cannot be run here."""
    if arm in ("rensa", "datasketch") and not importlib.util.find_spec(arm):
        return f"{arm} is not installed"
    if arm == "datatrove" and "BENCH_DATATROVE" not in os.environ:
        return "BENCH_DATATROVE is not set"
    return None


def timed(arm: str, path: str, warm_up: str) -> Run:
    """Gives what `arm` takes for `path`, after it has run on the file `warm_up`."""
    if arm != "datatrove":
        ARMS[arm](warm_up)
    # Two processes work for datatrove: time of children counts.
    started, cpu = time.monotonic(), os.times()
    kept = ARMS[arm](path)
    seconds, now = time.monotonic() - started, os.times()
    return Run(seconds, sum(now[:4]) - sum(cpu[:4]), _peak(), kept)


def _peak() -> int:
    """Gives the most memory of this process in bytes; of its parent's it knows nothing."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def compare(rows: int, arms: list[str], rounds: int, folder: str) -> list[dict]:
    """Gives for each arm the medians of `rounds` runs in turns on `rows` rows, as a dict."""
    from benchmarks import dedup_corpus

    path, warm_up = f"{folder}/{rows}.parquet", f"{folder}/warm_up.parquet"
    alone(dedup_corpus.write, warm_up, 500)
    alone(dedup_corpus.write, path, rows)
    runs: dict[str, list[Run]] = {arm: [] for arm in arms}
    for _ in range(rounds):
        for arm in arms:
            runs[arm].append(alone(timed, arm, path, warm_up))
            print(f"  {rows:,} {arm}: {runs[arm][-1].seconds:.1f} s", flush=True)
    found = []
    for arm, took in runs.items():
        good = took[0].kept is not None and alone(dedup_corpus.quality, took[0].kept, THRESHOLD)
        found.append(
            {
                "arm": arm,
                "seconds": statistics.median(run.seconds for run in took),
                "cpu": statistics.median(run.cpu for run in took),
                "memory": max(run.memory for run in took),
                "recall": good[0] if good else None,
                "precision": good[1] if good else None,
                "removed": int((~took[0].kept).sum()) if good else None,
            }
        )
    Path(path).unlink()
    return found


def table(rows: int, found: list[dict]) -> list[str]:
    """Gives the lines of a Markdown table of what ``compare`` found."""
    mine = next(one for one in found if one["arm"] == "this project")
    lines = [
        f"{rows:,} rows:",
        "",
        "| arm | rows/s | rows/CPU-s | time to ours | CPU to ours | recall | precision | removed "
        "| peak memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        quality = (
            f"{one['recall']:.4f} | {one['precision']:.4f} | {one['removed']:,}"
            if one["removed"] is not None
            else "| | "
        )
        memory = "" if one["arm"] == "datatrove" else f"{one['memory'] / 1e6:,.0f} MB"
        lines.append(
            f"| {one['arm']} | {rows / one['seconds']:,.0f} | {rows / one['cpu']:,.0f} | "
            f"{one['seconds'] / mine['seconds']:.2f} | {one['cpu'] / mine['cpu']:.2f} | "
            f"{quality} | {memory} |"
        )
    return [*lines, ""]


def measure(sizes: tuple[int, ...] = (20_000, 200_000, 1_000_000), rounds: int = 2) -> str:
    """Gives the section of RESULTS.md; BENCH_DEDUP_ROWS adds a size for the project alone."""
    load = os.getloadavg()[0]
    absent = {arm: why for arm in ARMS if (why := missing(arm))}
    large = int(os.environ.get("BENCH_DEDUP_ROWS", "0"))
    lines = [
        "## Near-duplicates: beside other tools, on planted truth",
        "",
        f"`python -m benchmarks.dedup`: rows of about 1.7 kB, 5% copied and 10% copied with "
        "changes, shingles of 5 words, similarity 0.8; arms in turns, each run in a process of its "
        f"own; load {load:.1f}. Recall: planted copies at or above 0.8 of which one row went. "
        "Precision: removed rows with another one at or above 0.8. The bound reads the file and "
        "hashes every shingle once. rensa, datasketch and datatrove have 14 bands of 8 and take a "
        "bucket for a duplicate. datatrove and SQL run on 20,000 rows only.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        grown = {}
        for rows in sizes:
            arms = [arm for arm in ARMS if arm not in absent]
            if rows > 20_000:  # minutes per run, either of them
                arms = [arm for arm in arms if arm not in ("datatrove", "DuckDB SQL")]
            found = compare(rows, arms, rounds if rows <= 200_000 else 1, folder)
            grown[rows] = found
            lines += table(rows, found)
        if large:
            grown[large] = compare(large, ["the bound", "this project"], 1, folder)
            lines += table(large, grown[large])
    mine = {rows: {one["arm"]: one for one in found} for rows, found in grown.items()}
    most = max(mine)
    share = mine[most]["the bound"]["seconds"] / mine[most]["this project"]["seconds"]
    lines.append(f"Share of the bound at {most:,} rows: {share:.0%}.")
    for less, more in zip(sorted(mine), sorted(mine)[1:], strict=False):
        grows = mine[more]["this project"]["seconds"] / mine[less]["this project"]["seconds"]
        lines.append(f"From {less:,} to {more:,} rows the time grows by {grows:.1f}.")
    lines += [f"Left out: {arm}, {why}." for arm, why in absent.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(measure(tuple(options.rows), options.rounds))


if __name__ == "__main__":
    main()
