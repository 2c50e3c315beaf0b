"""Ingestion beside the bare parser on the same files: speed, memory, and a second refresh.

The text is that of the documents and licences that come with the installed packages, cut into
pieces of about 3,000 characters and numbered, so that no two are equal. Each run is a process of
its own; the arms take turns. Memory is that of the step and of its workers together.
"""

from __future__ import annotations

import argparse
import csv
import html
import itertools
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import trafilatura

from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion.documents import refresh
from resources.store import Store

SIZES_MB = (1, 100, 1000)
KINDS = ("txt", "jsonl", "csv", "parquet", "html")
ROUNDS = 2
_PIECE = 3000
_TXT_PIECES = 5  # a text file of some 15 kB
_HTML_PIECES = 3
_SMALL_FILES = 10_000
# The extractor reads less than a megabyte a second: more would only take longer.
_MOST_MB = {"html": 1}


def texts(megabytes: float) -> Iterator[str]:
    """Gives pieces of real text, `megabytes` in all."""
    pieces = []
    for pattern in ("*.txt", "*.md", "*.rst", "LICENSE*", "METADATA"):
        for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob(pattern)):
            if path.is_file():
                content = path.read_text(encoding="utf-8", errors="ignore")
                starts = range(0, min(len(content), 200_000), _PIECE)
                pieces += [content[start : start + _PIECE] for start in starts]
    left = megabytes * 1e6
    for number in itertools.count():
        piece = f"{number}. {pieces[number % len(pieces)]}"
        left -= len(piece.encode())
        yield piece
        if left <= 0:
            return


def write(kind: str, megabytes: float, folder: Path) -> None:
    """Writes the source of one arm into `folder`."""
    pieces = texts(megabytes)
    if kind in ("txt", "html"):
        each = _TXT_PIECES if kind == "txt" else _HTML_PIECES
        number = 0
        while held := [piece for _, piece in zip(range(each), pieces, strict=False)]:
            body = "\n\n".join(held) if kind == "txt" else _page(held)
            (folder / f"{number:06}.{kind}").write_text(body, encoding="utf-8")
            number += 1
    elif kind == "jsonl":
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            for number, piece in enumerate(pieces):
                file.write(json.dumps({"id": number, "text": piece}) + "\n")
    elif kind == "csv":
        with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows(enumerate(piece.replace("\0", "") for piece in pieces))
    else:
        schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
        with pq.ParquetWriter(folder / "rows.parquet", schema, compression="zstd") as writer:
            first = 0
            while held := [piece for _, piece in zip(range(10_000), pieces, strict=False)]:
                ids = range(first, first + len(held))
                writer.write_table(pa.table({"id": ids, "text": held}, schema=schema))
                first += len(held)


def _page(pieces: list[str]) -> str:
    menu = "".join(f"<li><a href='/{i}'>Menu {i}</a></li>" for i in range(20))
    body = "".join(
        f"<h2>Section {number}</h2>"
        + "".join(f"<p>{html.escape(part)}</p>" for part in piece.split("\n\n"))
        for number, piece in enumerate(pieces)
    )
    return f"<html><body><nav><ul>{menu}</ul></nav><article>{body}</article></body></html>"


def parse(kind: str, folder: Path) -> int:
    """Reads and parses with nothing but the format's parser; gives the number of characters."""
    characters = 0
    for path in sorted(folder.iterdir()):
        if kind == "txt":
            characters += len(path.read_bytes().decode("utf-8"))
        elif kind == "jsonl":
            with path.open(encoding="utf-8") as file:
                characters += sum(len(json.loads(line)["text"]) for line in file)
        elif kind == "csv":
            csv.field_size_limit(1 << 30)
            with path.open(encoding="utf-8", newline="") as file:
                characters += sum(len(row["text"]) for row in csv.DictReader(file))
        elif kind == "parquet":
            for batch in pq.ParquetFile(path).iter_batches(1024, columns=["text"]):
                characters += sum(map(len, batch["text"].to_pylist()))
        else:
            characters += len(trafilatura.extract(path.read_bytes()) or "")
    return characters


def ingest(folder: Path, data: Path) -> int:
    """Makes `documents` of the files; gives the number of files that were parsed."""
    corpus = Corpus(name="speed", folder=folder, source={"files": "."}, task_types=["nli"])
    made = refresh(Store(root=str(data)), corpus, lambda line: None)
    if made.books.rows != made.books.accepted + made.books.verdicts.get(
        "exact_duplicate_document", 0
    ):
        raise RuntimeError(f"documents were refused: {made.books.verdicts}")
    return made.seen.read


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Gives seconds, CPU seconds and the peak of resident memory of `work`, children included."""
    peak, ended = [0], threading.Event()
    own = psutil.Process()

    def watch() -> None:
        while not ended.wait(0.05):
            memory = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    memory += process.memory_info().rss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], memory)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, started = os.times(), time.monotonic()
    result = work()
    seconds, after = time.monotonic() - started, os.times()
    ended.set()
    watcher.join()
    return {
        "result": result,
        "seconds": seconds,
        "cpu": sum(after[:4]) - sum(cpu[:4]),
        "peak_mb": peak[0] / 1e6,
    }


def elsewhere(*arguments: str) -> dict[str, float]:
    """Runs one arm in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingestion", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(sizes: tuple[int, ...] = SIZES_MB, rounds: int = ROUNDS) -> str:
    """Gives the section of RESULTS.md."""
    lines = [
        "## Ingestion",
        "",
        f"`python -m benchmarks.ingestion --sizes {' '.join(map(str, sizes))} --rounds {rounds}`: "
        "the bare parser (`bytes.decode`, `json.loads`, `csv.DictReader`, pyarrow, trafilatura) "
        "beside the whole of ingestion: workers, digests, Unicode, duplicates, `documents` as "
        "Parquet. Medians; the ratio is ingestion's speed over the parser's. Starting the "
        "workers takes about a second, which weighs on the small sizes.",
        "",
        "| format | MB | parser MB/s | ingestion MB/s | ratio | CPU ratio | peak MB | again s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        for size in sizes:
            if size > _MOST_MB.get(kind, size):
                continue
            with tempfile.TemporaryDirectory() as place:
                source = Path(place) / "source"
                source.mkdir()
                write(kind, size, source)
                bare, whole = [], []
                for turn in range(rounds if size < 1000 else 1):
                    bare.append(elsewhere("parse", kind, str(source)))
                    whole.append(elsewhere("ingest", str(source), f"{place}/data{turn}"))
                again = elsewhere("ingest", str(source), f"{place}/data0")
            seconds = [statistics.median(run["seconds"] for run in arm) for arm in (bare, whole)]
            cpu = [statistics.median(run["cpu"] for run in arm) for arm in (bare, whole)]
            peak = max(run["peak_mb"] for run in whole)
            lines.append(
                f"| {kind} | {size:,} | {size / seconds[0]:,.1f} | {size / seconds[1]:,.1f} "
                f"| {seconds[0] / seconds[1]:.2f} | {cpu[0] / cpu[1]:.2f} | {peak:,.0f} "
                f"| {again['seconds']:.1f} |"
            )
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        source.mkdir()
        for number, piece in zip(range(_SMALL_FILES), texts(1e9), strict=False):
            (source / f"{number:05}.txt").write_text(piece, encoding="utf-8")
        first = elsewhere("ingest", str(source), f"{place}/data")
        again = elsewhere("ingest", str(source), f"{place}/data")
    lines += [
        "",
        f"{_SMALL_FILES:,} files of 3 kB: {first['seconds']:.1f} s; a second refresh of them, "
        f"unchanged: {again['seconds']:.1f} s with {again['result']:.0f} files parsed.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", nargs="*", help="parse KIND FOLDER, or ingest FOLDER DATA")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_MB, metavar="MB")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if arguments.arm[:1] == ["parse"]:
        _, kind, folder = arguments.arm
        print(json.dumps(timed(lambda: parse(kind, Path(folder)))))
    elif arguments.arm[:1] == ["ingest"]:
        _, folder, data = arguments.arm
        print(json.dumps(timed(lambda: ingest(Path(folder), Path(data)))))
    else:
        print(measure(tuple(arguments.sizes), arguments.rounds))


if __name__ == "__main__":
    main()
