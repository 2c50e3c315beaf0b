"""What the platform adds to the engine: the `generations` path beside vLLM and `bonito-llm`.

Every arm answers the same prompts with the same checkpoint and settings, in turns, on one OpenMP
thread: raw ``LLM.generate``, ``bonito-llm`` 0.1.0 as published, and what the asset does (prompts
checked, cache, Parquet segments, the table and its books). The first two share one engine in this
process; ours has one of its own, as always. CPU seconds are those of all processes of an arm.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

# Before torch is loaded by anything: two threads on a busy machine measure the machine.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import psutil
import pyarrow as pa

from bonito_assets import settings, tables
from bonito_assets.catalogue import Corpus, load
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.refresh import refresh
from bonito_assets.ingestion.documents import documents
from bonito_assets.parsing.tasks import tasks
from resources.engine_loop import EngineArguments, llm_arguments
from resources.model import Model, resolve
from resources.store import Store
from resources.vllm_engine import VllmEngine

TASK_TYPES = ["exqa", "ynqa", "nli", "summarization"]
SAMPLING = {"temperature": 0.5, "top_p": 0.95, "max_tokens": 128}
WINDOW = 1024
# The one release; its two modules are all of it, and need nothing that is not here.
BONITO_LLM = "bonito-llm==0.1.0"


def passages(number: int, seed: int) -> list[str]:
    """Gives distinct passages of two to eight sentences of the demo corpus, drawn at random."""
    corpus = load(settings.PROJECT / "corpora" / "demo.yaml")
    batches = documents(corpus)
    text = " ".join(text for batch in batches for text in batch["text"].to_pylist() if text)
    sentences = [s.strip() + "." for s in text.replace("\n", " ").split(". ") if 20 < len(s) < 200]
    random = Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < number:
        drawn[" ".join(random.sample(sentences, random.randint(2, 8)))] = None
    return list(drawn)


def chunks(texts: list[str]) -> pa.Table:
    """Gives `texts` as accepted rows of `chunks`."""
    return tables.build("chunks", [
        {"corpus": "bench", "chunk_id": f"{i:032x}", "doc_id": f"{i:032x}", "position": 0,
         "start_char": 0, "end_char": len(text), "text": text, "n_tokens": 0,
         "units": ["paragraph"]}
        for i, text in enumerate(texts)
    ])  # fmt: skip


class Upstream:
    """Raw vLLM and ``bonito-llm``, which is a subclass of vLLM's ``LLM``."""

    def __init__(self, folder: Path, package: Path) -> None:
        sys.path.insert(0, str(package))
        from bonito import Bonito

        from resources.hardware import defaults, find_cards

        arguments = EngineArguments().filled(defaults(0, find_cards()))
        self.llm: Any = Bonito(**llm_arguments(folder, WINDOW, arguments))

    def raw(self, texts: list[str]) -> int:
        """Generates as a script would: one blocking call; gives the number of output tokens."""
        from vllm import SamplingParams

        prompts = [prompt(text, task_type) for text in texts for task_type in TASK_TYPES]
        outputs = self.llm.generate(prompts, SamplingParams(**SAMPLING), use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    def bonito_llm(self, texts: list[str]) -> int:
        """Generates as the package's users do, a task type at a time; tokens are not told."""
        from datasets import Dataset, disable_progress_bars
        from vllm import SamplingParams

        disable_progress_bars()
        data = Dataset.from_dict({"text": texts})
        for task_type in TASK_TYPES:
            self.llm.generate_tasks(
                data, context_col="text", task_type=task_type,
                sampling_params=SamplingParams(**SAMPLING),
            )  # fmt: skip
        return 0


class Ours:
    """The asset's path, on an engine that stays open between rounds as the other arms' does."""

    def __init__(self, folder: Path) -> None:
        self._generator = VllmEngine(model=str(folder), max_model_len=WINDOW)
        self._opened = self._generator.open(lambda line: None)
        self._session = self._opened.__enter__()

    def close(self) -> None:
        """Ends the engine."""
        self._opened.__exit__(None, None, None)

    @property
    def price_per_gpu_hour(self) -> float:
        """Gives no price."""
        return 0.0

    def resolve(self) -> Model:
        """Gives the checkpoint."""
        return self._generator.resolve()

    @contextmanager
    def open(self, log: Callable[[str], None]) -> Iterator[Any]:
        """Hands out the one session."""
        yield self._session

    def generations(self, texts: list[str]) -> int:
        """Generates as the asset does, from passages to the table; gives the output tokens."""
        return self._refresh(texts)

    def seeded(self, texts: list[str]) -> int:
        """Generates with a seed of its own for each request."""
        return self._refresh(texts, reproducible=True)

    def instructions(self, texts: list[str]) -> int:
        """Goes on to instruction rows, which is where ``bonito-llm`` ends."""
        return self._refresh(texts, parse=True)

    def _refresh(self, texts: list[str], reproducible: bool = False, parse: bool = False) -> int:
        corpus = Corpus(
            name="bench", folder="/", source={"files": "x"}, task_types=TASK_TYPES,
            sampling=SAMPLING, reproducible=reproducible,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as root:
            store = Store(root=root)
            passed = chunks(texts)
            store.write("chunks", "bench", passed)
            made = refresh(store, corpus, self, "benchmark", lambda line: None)
            if made.books.accepted != made.due:
                raise RuntimeError(f"{made.books.accepted:,} rows instead of {made.due:,}")
            if parse:
                store.write("tasks", "bench", tasks(store.read("generations", "bench"), passed))
            return made.bill.output_tokens


def cpu_seconds() -> float:
    """Gives the CPU seconds of this process and of all below it that live."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total


def measure(requests: int = 2_000, rounds: int = 5, bonito_rounds: int | None = None) -> str:
    """Gives the section of RESULTS.md."""
    folder = resolve(settings.model(), "BONITO_MODEL").folder
    with tempfile.TemporaryDirectory() as package:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*install, f"--target={package}", BONITO_LLM], check=True)
        upstream, ours = Upstream(folder, Path(package)), Ours(folder)
    arms: dict[str, Callable[[list[str]], int]] = {
        "LLM.generate": upstream.raw,
        "this project, to `generations`": ours.generations,
        "bonito-llm 0.1.0": upstream.bonito_llm,
        "this project, to instruction rows": ours.instructions,
        "this project, `reproducible: true`": ours.seeded,
    }
    limited = rounds if bonito_rounds is None else bonito_rounds
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    wall: dict[str, list[float]] = {name: [] for name in arms}
    tokens = dict.fromkeys(arms, 0)
    number = requests // len(TASK_TYPES)
    try:
        for arm in arms.values():
            arm(passages(16, seed=-1))  # the first call pays for warming up
        for round_ in range(rounds):
            order = list(arms)[:2] if round_ >= limited else list(arms)
            # Who goes first changes, as the machine's mood does.
            for name in order if round_ % 2 == 0 else order[::-1]:
                # Arms that share an engine get passages of their own, as it caches prefixes; those
                # that are compared get the same.
                texts = passages(number, seed=10 * round_ + list(arms).index(name) // 2)
                started, before = time.monotonic(), cpu_seconds()
                tokens[name] += arms[name](texts)
                cpu[name].append(cpu_seconds() - before)
                wall[name].append(time.monotonic() - started)
                print(f"  round {round_}: {name}: {wall[name][-1]:.1f} s", file=sys.stderr)
    finally:
        ours.close()
    return _section(requests, rounds, limited, cpu, wall, tokens)


def _section(
    requests: int,
    rounds: int,
    limited: int,
    cpu: dict[str, list[float]],
    wall: dict[str, list[float]],
    tokens: dict[str, int],
) -> str:
    base = "LLM.generate"
    lines = [
        "## Generation: what the platform adds to the engine",
        "",
        f"`python -m benchmarks.generation --requests {requests} --rounds {rounds} "
        f"--bonito-rounds {limited}`: {requests:,} requests over distinct passages of 2 to 8 "
        f"sentences, {len(TASK_TYPES)} task types, model `{Path(settings.model()).name}`, output "
        "until its own end or 128 tokens, one OpenMP thread per engine, arms in turns. Throughput "
        "is relative to `LLM.generate` in the same round; the median of the rounds.",
        "",
        "| arm | rounds | wall s | throughput, wall | CPU s | throughput, CPU | output tokens |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in (name for name in cpu if cpu[name]):
        ratios = [
            statistics.median(b / a for a, b in zip(times[name], times[base], strict=False))
            for times in (wall, cpu)
        ]
        told = f"{tokens[name] // len(cpu[name]):,}" if tokens[name] else ""
        lines.append(
            f"| {name} | {len(cpu[name])} | {statistics.median(wall[name]):.1f} | {ratios[0]:.3f} "
            f"| {statistics.median(cpu[name]):.1f} | {ratios[1]:.3f} | {told} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5, help="times each arm runs")
    parser.add_argument("--bonito-rounds", type=int, help="fewer for bonito-llm's comparison")
    arguments = parser.parse_args()
    print(measure(arguments.requests, arguments.rounds, arguments.bonito_rounds))


if __name__ == "__main__":
    main()
