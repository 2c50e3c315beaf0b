"""Measures the demonstration checkpoint: form and rightness of what it samples on a corpus.

Run ``python -m benchmarks.demo_checkpoint`` (``--help`` for its options). For every passage and
task type one completion is sampled in vLLM at the demo's settings and judged by
``bonito_assets.bonito_training.answers``. Columns of the table, in percent of the completions:

parse    exactly one ``<|pipe|>``, both sides filled, ended by itself within the token limit
check    parses, holds ``{{context}}`` once in its place, and keeps the form of its type
right    the answer is the one that the passage gives, where a rule can decide that
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bonito_assets.bonito_training.answers import Verdict, judged
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.chunking.passages import passages
from bonito_assets.generation.prompts import prompt

_ROOT = Path(__file__).resolve().parents[1]


def read_passages(folder: Path, max_chars: int) -> list[str]:
    """Gives the passages of the .md, .txt and .jsonl files under `folder`, by file name."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".md", ".txt"):
            texts = [path.read_text(encoding="utf-8")]
        elif path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            texts = [json.loads(line)["text"] for line in lines]
        else:
            continue
        found += [text[start:end] for text in texts for start, end in passages(text, max_chars)]
    if not found:
        raise SystemExit(
            f"{folder}: no .md, .txt or .jsonl file; name another folder by --documents"
        )
    return found


def sample(model: Path, prompts: list[str], options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Gives for each prompt the completion and whether it ended by itself."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform

    llm = LLM(
        model=str(model),
        max_model_len=2048,
        enforce_eager=current_platform.is_cpu(),
        seed=options.seed,
        disable_log_stats=True,
    )
    sampling = SamplingParams(
        temperature=options.temperature, top_p=options.top_p, max_tokens=options.max_tokens
    )
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    return [(o.outputs[0].text, o.outputs[0].finish_reason == "stop") for o in outputs]


def percent(verdicts: list[Verdict]) -> dict[str, float | int | None]:
    """Gives the row of the table for one task type."""
    decided = [v.right for v in verdicts if v.right is not None]
    n = len(verdicts)
    return {
        "n": n,
        "parse": round(100 * sum(v.parses for v in verdicts) / n, 1),
        "check": round(100 * sum(v.passes for v in verdicts) / n, 1),
        "right": round(100 * sum(decided) / len(decided), 1) if decided else None,
        "decided": len(decided),
    }


def measure() -> str:
    """Gives the section for RESULTS.md, measured with the default settings on all task types."""
    return as_markdown(run(_parser().parse_args([])))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Gives the table, the time and the samples of each task type."""
    texts = read_passages(options.documents, options.max_chars)
    asked = [(kind, text) for kind in options.types for text in texts]
    began = time.perf_counter()
    outputs = sample(options.model, [prompt(text, kind) for kind, text in asked], options)
    seconds = time.perf_counter() - began
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (kind, text), (output, ended) in zip(asked, outputs, strict=True):
        verdict = judged(kind, output, text) if ended else Verdict(False)
        verdicts[kind].append(verdict)
        samples[kind].append({"passage": text, "output": output, **vars(verdict)})
    return {
        "passages": len(texts),
        "seconds": round(seconds, 1),
        "table": {kind: percent(found) for kind, found in verdicts.items()},
        "samples": samples,
    }


def as_markdown(report: dict[str, Any]) -> str:
    """Gives the table of a report as Markdown with a heading."""
    lines = [
        "## The demonstration checkpoint on the demo corpus",
        "",
        f"{report['passages']} passages, one sample for each task type, {report['seconds']} s "
        "with the start of the engine.",
        "",
        "| task type | n | parse % | check % | right % | of |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, row in report["table"].items():
        right = "" if row["right"] is None else row["right"]
        lines.append(
            f"| {kind} | {row['n']} | {row['parse']} | {row['check']} | {right} "
            f"| {row['decided']} |"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=_ROOT / "models" / "bonito-demo")
    parser.add_argument("--documents", type=Path, default=_ROOT / "corpora" / "demo" / "documents")
    parser.add_argument("--types", nargs="+", choices=TASK_TYPES, default=list(TASK_TYPES))
    parser.add_argument("--max-chars", type=int, default=360, help="length of a passage")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=2, help="samples shown per task type")
    parser.add_argument("--json", type=Path, help="write everything, all samples too, to this file")
    return parser


def main() -> None:
    options = _parser().parse_args()
    report = run(options)
    print(as_markdown(report))
    for kind, found in report["samples"].items():
        for example in found[:: max(1, len(found) // max(1, options.examples))][: options.examples]:
            marks = ", ".join(f"{k}: {example[k]}" for k in ("parses", "passes", "right"))
            print(f"\n--- {kind} ({marks})\n{example['passage']}\n  =>\n{example['output']}")
    if options.json:
        options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
