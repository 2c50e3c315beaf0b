"""A 7B model on one GPU: what vLLM's own loop and ours get out of the card.

Run ``python -m benchmarks.gpu_generation`` (``--help`` for its options; ``--tiny`` runs the same
code with a toy shape on a CPU). The checkpoint has Mistral-7B's shape and dummy weights, which cost
as much to multiply as real ones. Prompts are random tokens, about 400 of them; each request writes
a drawn number of tokens, 150 on average, for the tokenizer names no end token that could stop it.
Every arm has a process of its own, so that the card is free again before the next one starts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from resources import threads
from resources.engine_loop import EngineArguments, EngineLoop, llm_arguments
from resources.generator import Sampling
from resources.hardware import defaults, find_cards

MISTRAL_7B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # vLLM's CPU kernels start at 32 per head
    "num_key_value_heads": 1,
    "vocab_size": 1024,
}
WINDOW = 4096
TEMPERATURE, TOP_P = 0.5, 0.95
WARM_UP = 256

PRECISIONS = {
    "bf16": EngineArguments(dtype="bfloat16", load_format="dummy"),
    "fp8": EngineArguments(dtype="bfloat16", quantization="fp8", load_format="dummy"),
}
# What matrix products reach on an H200, in FLOP/s: measured in bfloat16 (8,192 cubed, random
# data); for fp8 the same 80% of the datasheet's figure, which is an assumption.
H200_ROOFS = {"bf16": 788e12, "fp8": 1577e12}


@dataclass(frozen=True)
class Job:
    """One request: the prompt's token ids and the number of tokens to write."""

    ids: list[int]
    max_tokens: int


@dataclass(frozen=True)
class Measured:
    """What one arm took for all requests, in seconds, and with what."""

    device: str
    versions: str
    start_seconds: float
    seconds: float
    requests: int
    prompt_tokens: int
    output_tokens: int


def workload(requests: int, vocabulary: int, seed: int) -> list[Job]:
    """Gives requests of Bonito's lengths: log-normal, mean 400 tokens in and 150 out."""
    draw = np.random.default_rng(seed)

    def lengths(mean: float, sigma: float, most: int) -> np.ndarray:
        drawn = draw.lognormal(np.log(mean) - sigma**2 / 2, sigma, requests)
        return np.clip(drawn.round().astype(int), 8, most)

    return [
        Job(draw.integers(0, vocabulary, prompt).tolist(), int(output))
        for prompt, output in zip(lengths(400, 0.3, 2048), lengths(150, 0.6, 1024), strict=True)
    ]


def write_checkpoint(folder: Path, shape: dict[str, int]) -> None:
    """Writes config and tokenizer of a Mistral of that shape; there are no weights to write."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "max_position_embeddings": 32768,
        "sliding_window": None,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "bos_token_id": None,
        "eos_token_id": None,
        "dtype": "bfloat16",
        **shape,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġ{number}" for number in range(shape["vocab_size"] - len(letters))]
    vocabulary = {token: i for i, token in enumerate(letters + words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


class Raw:
    """vLLM as a script uses it: one call of ``LLM.generate`` for everything."""

    def __init__(self, folder: Path, arguments: EngineArguments) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; read on a CPU only
        threads.spare_for(threads.weight_bytes(folder))
        from vllm import LLM

        chosen = arguments.filled(defaults(threads.weight_bytes(folder), find_cards()))
        self._llm = LLM(**llm_arguments(folder, WINDOW, chosen))

    def run(self, jobs: Sequence[Job]) -> int:
        """Gives the number of tokens written."""
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                temperature=TEMPERATURE, top_p=TOP_P, max_tokens=job.max_tokens, logprobs=0
            )
            for job in jobs
        ]
        prompts = [{"prompt_token_ids": job.ids} for job in jobs]
        outputs = self._llm.generate(prompts, parameters, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    def close(self) -> None:
        """Ends the engine's own process, which this one would wait for at its end."""
        self._llm.llm_engine.engine_core.shutdown()


class Ours:
    """Our loop: the scheduler is kept full from a stream, outcomes are taken as they finish."""

    def __init__(self, folder: Path, arguments: EngineArguments) -> None:
        self._loop = EngineLoop(folder, WINDOW, arguments)

    def run(self, jobs: Sequence[Job]) -> int:
        """Gives the number of tokens written."""
        waiting = iter(enumerate(jobs))
        under_way = tokens = 0
        while True:
            under_way += self._add(waiting, 2 * self._loop.max_num_seqs - under_way)
            if not under_way:
                return tokens
            done = self._loop.step()
            under_way -= len(done)
            tokens += sum(outcome.output_tokens for outcome in done)

    def close(self) -> None:
        """Ends the engine."""
        self._loop.close()

    def _add(self, waiting: Iterator[tuple[int, Job]], most: int) -> int:
        added = 0
        while added < most and (entry := next(waiting, None)) is not None:
            number, job = entry
            sampling = Sampling(TEMPERATURE, TOP_P, job.max_tokens)
            self._loop.add(str(number), job.ids, sampling, None)
            added += 1
        return added


ARMS: dict[str, type[Raw | Ours]] = {"LLM.generate": Raw, "this project": Ours}


def run_arm(arm: str, precision: str, shape: dict[str, int], requests: int) -> Measured:
    """Measures one arm in this process, the engine's start and a warm-up apart."""
    with tempfile.TemporaryDirectory(prefix="bonito-benchmark-") as name:
        write_checkpoint(Path(name), shape)
        started = time.perf_counter()
        with contextlib.closing(ARMS[arm](Path(name), PRECISIONS[precision])) as engine:
            start_seconds = time.perf_counter() - started
            # Not the prompts of the measurement, or the cache of prefixes would know them.
            engine.run(workload(min(WARM_UP, requests), shape["vocab_size"], seed=1))
            jobs = workload(requests, shape["vocab_size"], seed=0)
            started = time.perf_counter()
            output_tokens = engine.run(jobs)
            seconds = time.perf_counter() - started
    if output_tokens != (due := sum(job.max_tokens for job in jobs)):
        raise RuntimeError(f"{arm} wrote {output_tokens:,} tokens where {due:,} were asked for")
    import torch
    import vllm
    from vllm.platforms import current_platform

    return Measured(
        current_platform.get_device_name(),
        f"vLLM {vllm.__version__}, torch {torch.__version__}",
        start_seconds,
        seconds,
        requests,
        sum(len(job.ids) for job in jobs),
        output_tokens,
    )


def ceiling(precision: str, measured: Measured) -> float | None:
    """Gives the requests per second at which an H200's arithmetic ends, None on other devices.

    A token costs two FLOP per weight that it meets (the output layer only where one is written)
    and four per layer, hidden unit and token looked back at. 400 in and 150 out make 7.8 TFLOP.
    """
    if "H200" not in measured.device:
        return None
    layers, hidden, wide = 32, 4096, 14336
    per_layer = hidden * (2 * hidden + 2 * hidden // 4 + 3 * wide)  # keys and values: 8 of 32 heads
    head = hidden * MISTRAL_7B["vocab_size"]
    prompt = measured.prompt_tokens / measured.requests
    output = measured.output_tokens / measured.requests
    looked_back = prompt**2 / 2 + output * (prompt + output / 2)
    flop = 2 * layers * per_layer * (prompt + output) + 2 * head * output
    return H200_ROOFS[precision] / (flop + 4 * layers * hidden * looked_back)


def table(found: dict[tuple[str, str], Measured]) -> list[str]:
    """Gives the Markdown table, one line per precision and arm."""
    lines = [
        "| weights | arm | start s | s | requests/s | tokens in/s | tokens out/s "
        "| computed ceiling, requests/s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (precision, arm), m in found.items():
        most = ceiling(precision, m)
        lines.append(
            f"| {precision} | {arm} | {m.start_seconds:.0f} | {m.seconds:.1f} "
            f"| {m.requests / m.seconds:.1f} | {m.prompt_tokens / m.seconds:,.0f} "
            f"| {m.output_tokens / m.seconds:,.0f} | {'' if most is None else f'{most:.0f}'} |"
        )
    return lines


def measure() -> str:
    """Gives the section for RESULTS.md, or the sentence that there is no card to measure."""
    if not find_cards():
        return (
            "## Generation on a GPU\n\nNot measured: this machine has no CUDA card. "
            "`python -m benchmarks.gpu_generation` measures it where there is one."
        )
    return run(_parser().parse_args([]))


def run(options: argparse.Namespace) -> str:
    """Gives the Markdown section of the arms and precisions asked for."""
    shape = TINY if options.tiny else MISTRAL_7B
    requests = options.requests or (200 if options.tiny else 20_000)
    precisions = options.precisions or (["bf16"] if options.tiny else list(PRECISIONS))
    found = {
        (precision, arm): _in_own_process(arm, precision, shape, requests)
        for precision, arm in product(precisions, options.arms)
    }
    first = next(iter(found.values()))
    lines = [
        "## Generation on a GPU",
        "",
        f"{first.device}, {first.versions}; Mistral with hidden size {shape['hidden_size']:,} and "
        f"{shape['num_hidden_layers']} layers, dummy weights; {requests:,} requests of "
        f"{first.prompt_tokens / requests:.0f} tokens in and {first.output_tokens / requests:.0f} "
        f"out on average, temperature {TEMPERATURE}, top_p {TOP_P}.",
        "",
        *table(found),
    ]
    if ceiling("bf16", first) is not None:
        lines += [
            "",
            "The ceiling is computed, not measured: the arithmetic of the requests at the rate of "
            "large matrix products (788 TFLOP/s in bf16 as measured on such a card; 1,577 in fp8, "
            "assumed at the same share of the datasheet), everything else overlapped.",
        ]
    return "\n".join(lines)


def _in_own_process(*arguments: Any) -> Measured:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run_arm, *arguments).result()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_generation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, help="default 20,000; 200 with --tiny")
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, help="default all; bf16 with --tiny"
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--tiny", action="store_true", help="a toy shape, for any machine")
    return parser


def main() -> None:
    options = _parser().parse_args()
    print(run(options) if options.tiny or find_cards() else measure())


if __name__ == "__main__":
    main()
