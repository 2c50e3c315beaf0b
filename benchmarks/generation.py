"""What the platform adds to the engine: our request loop and cache beside `LLM.generate`.

Both arms run in one process, on one engine, over the same token ids, in turns, so that the noise
of the machine falls on both. The figure is the ratio of CPU seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bonito_assets import settings
from bonito_assets.catalogue import load
from bonito_assets.chunking.passages import passages
from bonito_assets.generation.prompts import prompt
from bonito_assets.ingestion.documents import documents
from bonito_assets.ingestion.sources import read
from resources.generation_cache import GenerationCache
from resources.generator import Request, Sampling
from resources.store import Store
from resources.vllm_engine import VllmEngine, VllmSession

SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=64)


def demo_prompts() -> list[str]:
    """Gives the prompts of the demo corpus."""
    corpus = load(settings.PROJECT / "corpora" / "demo.yaml")
    table = documents(corpus.name, read(corpus))
    return [
        prompt(text[start:end], task_type)
        for text in table["text"].to_pylist()
        for start, end in passages(text, corpus.chunking.max_chars)
        for task_type in corpus.task_types
    ]


def plain(session: VllmSession, prompts: list[str]) -> int:
    """Generates as a script would: one blocking call; gives the number of output tokens."""
    from vllm import SamplingParams

    parameters = SamplingParams(temperature=0.5, top_p=0.95, max_tokens=64, logprobs=0)
    inputs = [{"prompt_token_ids": session.token_ids(text)} for text in prompts]
    outputs = session.engine().generate(inputs, parameters, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs)


def ours(session: VllmSession, prompts: list[str]) -> int:
    """Generates as the asset does, results written as they come; gives the output tokens."""
    requests = [Request(str(number), text) for number, text in enumerate(prompts)]
    tokens = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        GenerationCache(Store(root=folder)).writer() as writer,
    ):
        for outcome in session.generate(requests, SAMPLING):
            writer.add(outcome)
            tokens += outcome.output_tokens or 0
    return tokens


def measure(rounds: int = 3) -> str:
    """Gives the section of RESULTS.md."""
    prompts = demo_prompts()
    arms = {"LLM.generate": plain, "this project": ours}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    wall: dict[str, list[float]] = {name: [] for name in arms}
    tokens = dict.fromkeys(arms, 0)
    with VllmEngine(model=settings.model()).open() as session:
        plain(session, prompts[:32])  # the first call pays for warming up
        for _ in range(rounds):
            for name, arm in arms.items():
                started, cpu = time.monotonic(), time.process_time()
                tokens[name] += arm(session, prompts)
                seconds[name].append(time.process_time() - cpu)
                wall[name].append(time.monotonic() - started)
    base = statistics.median(seconds["LLM.generate"])
    lines = [
        "## Generation: what the platform adds to the engine",
        "",
        f"`python -m benchmarks.generation --rounds {rounds}`: {len(prompts)} prompts of the demo "
        f"corpus, model `{Path(settings.model()).name}`, {rounds} rounds in turns, medians.",
        "",
        "| arm | CPU s | ratio | wall s | output tokens |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in arms:
        cpu = statistics.median(seconds[name])
        lines.append(
            f"| {name} | {cpu:.2f} | {cpu / base:.3f} | {statistics.median(wall[name]):.2f} "
            f"| {tokens[name] // rounds:,} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times each arm runs (default 3)")
    print(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
