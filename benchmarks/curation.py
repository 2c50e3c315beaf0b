"""What curation costs: a refresh of everything, and of what a changed threshold calls for.

Every stage is the real one, from a source of JSON lines to the published dataset; only the model is
a rule, and what it wrote is in the cache. CPU seconds are those of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa

from benchmarks.cache import alone
from benchmarks.parsing import output, passage
from bonito_assets import settings, tables
from bonito_assets.catalogue import SENTENCE_TASK_TYPES, TASK_TYPES, Corpus
from bonito_assets.chunking.refresh import refresh as cut
from bonito_assets.curation.passages import Passages
from bonito_assets.curation.refresh import refresh as curate
from bonito_assets.generation.refresh import refresh as generate
from bonito_assets.ingestion.documents import refresh as ingest
from bonito_assets.parsing.judge import judge_of
from bonito_assets.parsing.tasks import (
    CHUNK_COLUMNS,
    GENERATION_COLUMNS,
    read,
)
from bonito_assets.parsing.tasks import Passages as ReadPassages
from bonito_assets.publishing.books import stage_books
from bonito_assets.publishing.publish import DATASET, publish
from resources.generator import Outcome, Request
from resources.model import Model, resolve
from resources.store import Store

ROWS = 100_000
_TYPES = sorted(set(TASK_TYPES) - SENTENCE_TASK_TYPES)
_SHORT = {TASK_TYPES[name]: name for name in _TYPES}
_PASSAGES_PER_DOCUMENT = 8
_WINDOW = 512


class Rule:
    """A generator that writes what benchmarks/parsing.py makes of a passage."""

    cards = 1
    price_per_gpu_hour = 0.0

    def resolve(self) -> Model:
        """Gives the demonstration checkpoint, for its name and its window."""
        return resolve(str(settings.DEMO_MODEL), "BONITO_MODEL")

    def window(self, model: Model) -> int:
        """Gives a window that every passage fits into."""
        return 4096

    @contextmanager
    def open(self, log: object) -> Iterator[Rule]:
        """Hands out itself."""
        yield self

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Answers by the key of the request alone."""
        waiting = iter(requests)
        while in_flight := list(islice(waiting, _WINDOW)):
            for request in in_flight:
                head, _, text = request.prompt.partition("<|context|>\n")
                task_type = _SHORT[head.removeprefix("<|tasktype|>\n").strip()]
                text = text.removesuffix("\n<|task|>\n")
                rng = random.Random(request.key)
                made = output(task_type, text, rng) if text.count(". ") > 1 else "nothing"
                yield Outcome(request.key, made, "stop", 300, 80, -rng.random())


def corpus_of(folder: Path, **curation: object) -> Corpus:
    """Gives the corpus whose source lies in `folder`."""
    return Corpus(
        name="bench",
        folder=folder,
        source={"files": str(folder / "source.jsonl")},
        task_types=_TYPES,
        chunking={"max_chars": 720},
        curation=curation,
    )


def prepare(folder: Path, rows: int) -> None:
    """Writes a source of documents that gives about so many rows."""
    documents = rows // len(_TYPES) // _PASSAGES_PER_DOCUMENT
    with (folder / "source.jsonl").open("w", encoding="utf-8") as file:
        for number in range(documents):
            first = number * _PASSAGES_PER_DOCUMENT
            texts = [passage(n) for n in range(first, first + _PASSAGES_PER_DOCUMENT)]
            file.write(json.dumps({"id": str(number), "text": "\n\n".join(texts)}) + "\n")


def silent(line: str) -> None:
    """Takes a line for people who are not there."""


def parse(store: Store, corpus: Corpus) -> None:
    """Does what the asset `tasks` does."""
    passages = ReadPassages(lambda: store.batches("chunks", corpus.name, CHUNK_COLUMNS))
    generations = store.batches("generations", corpus.name, GENERATION_COLUMNS)
    rows = read(generations, passages, judge_of(corpus))
    store.write_batches("tasks", corpus.name, tables.TASKS, rows)


def release(store: Store, corpus: Corpus) -> None:
    """Does what the asset `instruction_dataset` does."""
    previous = store.published(DATASET, corpus.name)
    with store.new_folder(DATASET, corpus.name) as folder:
        publish(store, corpus, stage_books(store, corpus.name), folder, previous)


STAGES: dict[str, Callable[[Store, Corpus], object]] = {
    "documents": lambda store, corpus: ingest(store, corpus, silent),
    "chunks": lambda store, corpus: cut(store, corpus, Rule().resolve(), 4096),
    "generations, all in the cache": lambda store, corpus: generate(
        store, corpus, Rule(), "benchmark", silent
    ),
    "tasks": parse,
    "curated_tasks": lambda store, corpus: curate(store, corpus, silent),
    "instruction_dataset": release,
}


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Gives the CPU seconds, children's included, and the seconds that `work` takes."""
    before, started = os.times(), time.perf_counter()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), time.perf_counter() - started


def forget_tables(folder: Path) -> None:
    """Deletes all that a refresh made, but not what the model wrote."""
    for path in folder.joinpath("data").glob("*/corpus=*"):
        shutil.rmtree(path)
    shutil.rmtree(folder / "data" / DATASET, ignore_errors=True)


def refreshes(root: str, rows: int) -> tuple[int, dict[str, tuple[float, float]], float]:
    """Gives rows, the cost of each stage and of curation under other rules, and the peak in MB."""
    folder = Path(root)
    prepare(folder, rows)
    store, corpus = Store(root=str(folder / "data")), corpus_of(folder)
    # Once to fill the cache, and to have every loop compiled.
    for work in STAGES.values():
        work(store, corpus)
    forget_tables(folder)
    costs = {}
    for name, work in STAGES.items():
        costs[name] = cost(lambda work=work: work(store, corpus))
    found = store.written("curated_tasks", corpus.name)
    changes = {
        "a threshold": {"thresholds": {"output_chars": {"max": 40}}},
        "a cap": {"max_per_document": 40, "max_share_per_task_type": 0.12},
        "nothing": {},
    }
    for name, change in changes.items():
        other = corpus_of(folder, **change)
        costs[f"change: {name}"] = cost(lambda other=other: curate(store, other, silent))
    edited = (folder / "source.jsonl").read_text(encoding="utf-8").splitlines()
    edited[0] = json.dumps({"id": "0", "text": passage(10**9)})
    (folder / "source.jsonl").write_text("\n".join(edited) + "\n", encoding="utf-8")
    for name in list(STAGES)[:4]:
        STAGES[name](store, corpus)
    costs["change: a document"] = cost(lambda: curate(store, corpus, silent))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found.rows if found else 0, costs, peak


def score_rate(root: str, rows: int) -> float:
    """Gives the rows per CPU second of the scores alone, of what `refreshes` left."""
    from bonito_assets.curation.scores import scores

    store = Store(root=str(Path(root) / "data"))
    with tempfile.TemporaryDirectory() as folder:
        columns = ["chunk_id", "doc_id", "text"]
        passages = Passages(store.batches("chunks", "bench", columns), Path(folder))
        batches = [
            (batch["input"], batch["output"], batch["label"], passages.of(batch["chunk_id"]))
            for batch in merged(store.batches("tasks", "bench"))
        ]
        scores(*batches[0])
        started = time.process_time()
        for batch in batches:
            scores(*batch)
        return sum(len(batch[0]) for batch in batches) / (time.process_time() - started)


def merged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gives eight batches as one."""
    while some := list(islice(batches, 8)):
        yield pa.concat_batches(some)


def measure(rows: int = ROWS) -> str:
    """Gives the section of RESULTS.md."""
    with tempfile.TemporaryDirectory() as root:
        found, costs, peak = alone(refreshes, root, rows)
        rate = alone(score_rate, root, rows)
    full = sum(cpu for name, (cpu, _) in costs.items() if name in STAGES)
    lines = [
        "## Curation: all of it, and after a change",
        "",
        f"`python -m benchmarks.curation --rows {rows}`: {found:,} rows of {len(_TYPES)} task "
        "types, passages of 700 characters, from JSON lines to the published dataset, every stage "
        "as in a refresh, in one process; the generations are in the cache. Share is of the CPU "
        f"seconds of all stages. Peak of memory, all stages in one process: {peak:,.0f} MB.",
        "",
        "| step | CPU s | s | share |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, (cpu, seconds) in costs.items():
        lines.append(f"| {name} | {cpu:.2f} | {seconds:.2f} | {cpu / full:.1%} |")
    lines += [
        "",
        "The last four are curation alone, after a refresh, when that was changed.",
        f"The scores alone: {rate:,.0f} rows per CPU second.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    print(measure(parser.parse_args().rows))


if __name__ == "__main__":
    main()
