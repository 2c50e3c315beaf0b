"""From the table of pairs to two checkpoint folders: the base network and the Bonito network."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from bonito_assets.bonito_training import card, network, train
from bonito_assets.bonito_training.network import PAD, Shape
from bonito_assets.bonito_training.text import sentences
from bonito_assets.bonito_training.train import Plan
from bonito_assets.tuning.plots import axes, png

# Sizes and times by name. `small` is for trying the recipe out in two minutes; `demo` made the
# checkpoint that is shipped, in under an hour on two cores.
PRESETS: dict[str, tuple[Shape, Plan]] = {
    "small": (
        Shape(vocabulary=1024, width=128, layers=3, inner=192, positions=2048),
        Plan(base_steps=60, bonito_steps=120, compiled=False),
    ),
    "demo": (Shape(), Plan()),
}

_HELD_OUT = 1000  # rows kept from training for the closing measurement
_WATCHED = 192  # of these, the rows looked at once a minute
_TOKENIZER_ROWS = 30_000
_BASE_PASSAGES = 30_000


def make(
    pairs: pa.Table,
    sources: Sequence[Mapping[str, Any]],
    shape: Shape,
    plan: Plan,
    folder: Path,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Trains both networks into ``folder/base`` and ``folder/bonito`` and gives the record.

    The record is written to ``training.json`` in each: sources with digest and licence, settings,
    tokens seen, loss curves, seconds, hardware, and the share of right answers on held-out pairs.
    Raises ``ValueError`` when there are too few pairs to hold any out.
    """
    if pairs.num_rows < 4 * _WATCHED:
        raise ValueError(
            f"{pairs.num_rows} pairs are too few; set `pairs` of the asset ctga to {4 * _WATCHED} "
            "or more"
        )
    rng = random.Random(plan.seed)
    # Pairs of annotated data sets stand one set after the other, and the first rows are held out.
    mixed = pairs.take(rng.sample(range(pairs.num_rows), pairs.num_rows))
    columns = {name: mixed[name].to_pylist() for name in mixed.column_names}
    tokenizer = network.train_tokenizer(_tokenizer_texts(columns, rng), shape.vocabulary)
    pad = tokenizer.token_to_id(PAD)
    trainer = train.Trainer(shape, plan, log)

    log(
        f"base phase: {network.parameters(shape):,} parameters, at most {plan.base_minutes} minutes"
    )
    contexts = list(dict.fromkeys(c for c in columns["context"] if len(c) <= 500))
    rng.shuffle(contexts)
    reading = [sentences(context) for context in contexts[:_BASE_PASSAGES]]
    base = trainer.run(
        train.repeats(reading, tokenizer, rng), plan.base_steps, plan.base_minutes, tokenizer
    )
    network.save(trainer.network, tokenizer, shape, folder / "base")

    log(f"Bonito phase: at most {plan.bonito_minutes} minutes")
    rows = train.tasks(columns["prompt"], columns["completion"], tokenizer, plan.answer_weight)
    kinds = columns["task_type"]
    held = min(_HELD_OUT, len(rows) // 4)

    def right(n: int) -> dict[str, float]:
        return train.answers_right(trainer.network, rows[:n], kinds[:n], pad)

    bonito = trainer.run(
        rows[held:],
        plan.bonito_steps,
        plan.bonito_minutes,
        tokenizer,
        evaluate=lambda: {"answers_right": round(_mean(right(_WATCHED)), 3)},
        keep=lambda: network.save(trainer.network, tokenizer, shape, folder / "bonito"),
    )
    network.save(trainer.network, tokenizer, shape, folder / "bonito")

    record = {
        "shape": network.described(shape),
        "plan": asdict(plan),
        "sources": list(sources),
        "pairs": {"rows": pairs.num_rows, "held_out": held, "sha256": _digest(pairs)},
        "base": base.report(),
        "bonito": bonito.report(),
        "held_out_answers_right": {k: round(v, 3) for k, v in right(held).items()},
        "hardware": hardware(),
    }
    for name in ("base", "bonito"):
        (folder / name / "training.json").write_text(json.dumps(record, indent=1) + "\n")
        (folder / name / "README.md").write_text(card.card(name, record), encoding="utf-8")
    return record


def _tokenizer_texts(columns: Mapping[str, list[str]], rng: random.Random) -> list[str]:
    """Gives prompts and completions apart, as the network meets them."""
    n = len(columns["prompt"])
    picked = rng.sample(range(n), min(n, _TOKENIZER_ROWS))
    return [columns[name][i] for i in picked for name in ("prompt", "completion")]


def _mean(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares)


def _digest(pairs: pa.Table) -> str:
    digest = hashlib.sha256()
    for name in ("prompt", "completion"):
        for value in pairs[name].to_pylist():
            digest.update(value.encode() + b"\0")
    return digest.hexdigest()


def loss_plot(record: Mapping[str, Any]) -> bytes:
    """Gives the loss of both phases over their minutes as PNG."""
    figure, plot = axes("Loss (nats per token, weighted)")
    for name in ("base", "bonito"):
        curve = record[name]["curve"]
        minutes = [point["seconds"] / 60 for point in curve]
        plot.plot(minutes, [point["loss"] for point in curve], marker=".", label=name)
    plot.set_xlabel("minutes in the phase", fontsize=9)
    plot.legend(frameon=False)
    return png(figure)


def hardware() -> dict[str, Any]:
    """Gives what the training ran on: processor, cores, accelerator, versions."""
    import torch

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            s.partition(":")[2].strip() for s in info.read_text().splitlines() if "model name" in s
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
    }
