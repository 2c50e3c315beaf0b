"""The training loop beside a plain TRL script on the same rows, and two ways to waste no padding.

All arms train the same LoRA over the same base model on the same rows for one epoch, in turns in
one process. Tokens are those of the rows, padding not counted. With ``--mistral``, on a machine
with a CUDA card, the base is a random checkpoint of Mistral-7B's shape, held in 4 bits.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.parsing import passage
from bonito_assets import settings
from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.base_model import load_model, load_tokenizer
from bonito_assets.tuning.examples import Examples, examples
from bonito_assets.tuning.lora import Job, run
from bonito_assets.tuning.prompts import Encoder
from resources.model import Model, resolve

BATCH, LENGTH = 16, 512
LEARNING_RATE = 1e-3


@dataclass
class Arm:
    """One way to train, its seconds by the clock and by the CPU per round, and its last loss."""

    name: str
    train: Callable[[], None]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    loss: float = float("nan")
    peak: int = 0


def rows(number: int) -> list[dict[str, Any]]:
    """Gives so many tasks over passages of 1 to 12 sentences."""
    made = []
    for n in range(number):
        rng = random.Random(n)
        sentences = passage(n).split(". ")[: rng.randint(1, 12)]
        subject, _, year = rng.choice(sentences).rstrip(".").rpartition(" in ")
        text = ". ".join(sentences).rstrip(".") + "."
        made.append(
            {
                "generation_id": f"g{n}",
                "chunk_id": f"c{n}",
                "input": f"{text}\n\nIn which year was it true that {subject.lower()}?",
                "output": year,
            }
        )
    return made


@contextmanager
def watched(arm: Arm, judge: Callable[[Any], float]) -> Iterator[None]:
    """Times the training of whatever trainer runs inside, and lets `judge` see its model."""
    import torch
    from transformers import Trainer

    plain = Trainer.train

    def timed(trainer: Trainer, *args: Any, **kwargs: Any) -> Any:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        wall, cpu = time.perf_counter(), time.process_time()
        result = plain(trainer, *args, **kwargs)
        arm.wall.append(time.perf_counter() - wall)
        arm.cpu.append(time.process_time() - cpu)
        if torch.cuda.is_available():
            arm.peak = torch.cuda.max_memory_allocated()
        arm.loss = judge(trainer)
        return result

    Trainer.train = timed
    try:
        yield
    finally:
        Trainer.train = plain


def plain_trl(base: Model, learned: Examples, how: Mapping[str, Any], four_bit: bool) -> None:
    """Trains as a short script would: TRL's own defaults wherever the recipe says nothing."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    columns = {"input_ids": learned.input_ids, "labels": learned.labels}
    model = load_model(base, four_bit)
    gpu = model.device.type == "cuda"
    with tempfile.TemporaryDirectory() as scratch:
        SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=scratch,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="linear",
                max_grad_norm=0.3,
                num_train_epochs=1,
                bf16=gpu,
                gradient_checkpointing=gpu,
                optim="paged_adamw_32bit" if gpu else "adamw_torch",
                use_cpu=not gpu,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                **{"max_length": None, **how},
            ),
            train_dataset=Dataset.from_dict(columns),
            processing_class=load_tokenizer(base),
            peft_config=LoraConfig(
                r=64, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
        ).train()


def ours(base: Model, learned: Examples, method: str) -> None:
    """Trains as the asset does, with checkpoints and a log."""
    recipe = Tuning(learning_rate=LEARNING_RATE, batch_size=BATCH, max_tokens=LENGTH, method=method)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run(Job(base, learned, Examples(), recipe, place, place / "unfinished"), lambda line: None)


def arms(base: Model, learned: Examples, four_bit: bool) -> list[Arm]:
    at_once = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": BATCH // 8}
    mean = sum(learned.lengths) / len(learned)
    packs = max(1, round(BATCH * mean / LENGTH))
    packed = {
        "packing": True,
        "max_length": LENGTH,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": packs,
    }
    grouped = {**at_once, "train_sampling_strategy": "group_by_length"}

    def plain(how: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: plain_trl(base, learned, how, four_bit)

    method = "qlora" if four_bit else "lora"
    return [
        Arm("plain TRL, random order", plain(at_once)),
        Arm("plain TRL, group_by_length", plain(grouped)),
        Arm("this project", lambda: ours(base, learned, method)),
        Arm("plain TRL, packing (bfd)", plain(packed)),
    ]


def answer_loss(held_out: Examples) -> Callable[[Any], float]:
    """Gives a judge of models: the mean loss per answer token of rows that no arm has seen."""

    def judge(trainer: Any) -> float:
        import torch

        model = trainer.model.eval()
        total = tokens = 0.0
        with torch.inference_mode():
            for ids, labels in zip(held_out.input_ids, held_out.labels, strict=True):
                row = {"input_ids": torch.tensor(ids)[None], "labels": torch.tensor(labels)[None]}
                row = {name: part.long().to(model.device) for name, part in row.items()}
                count = int((labels != -100).sum())
                total += float(model(**row).loss) * count
                tokens += count
        return total / tokens

    return judge


def measure(number: int = 256, rounds: int = 3, base: Model | None = None) -> str:
    """Gives the section of RESULTS.md; `base` is the demonstration's unless given."""
    four_bit = base is not None
    base = base or resolve(str(settings.DEMO_BASE_MODEL), "BONITO_BASE_MODEL")
    encoder = Encoder(load_tokenizer(base), "bonito")
    load = os.getloadavg()[0]
    made = rows(number + 64)
    learned, held_out = (examples(part, {}, encoder, LENGTH) for part in (made[64:], made[:64]))
    tokens = sum(learned.lengths)
    ways = arms(base, learned, four_bit)
    judge = answer_loss(held_out)
    for turn in range(rounds):
        # Every second round backwards, so that none always runs beside the same load.
        for arm in ways if turn % 2 == 0 else reversed(ways):
            with watched(arm, judge):
                arm.train()
    return "\n".join(_lines(ways, tokens, len(learned), rounds, load, four_bit))


def _lines(
    ways: Sequence[Arm], tokens: int, number: int, rounds: int, load: float, four_bit: bool
) -> Iterator[str]:
    model = "a random model of Mistral-7B's shape in 4 bits" if four_bit else "`models/base-demo`"
    yield "## Training: from `instruction_dataset` to `tuned_model`"
    yield ""
    yield (
        f"`python -m benchmarks.tuning --rows {number} --rounds {rounds}`: one epoch over "
        f"{number:,} rows ({tokens:,} tokens, {tokens / number:.0f} a row, at most {LENGTH}) with "
        f"{model} and LoRA of rank 64; arms in turns in one process, medians; load {load:.1f}. The "
        "loss is that of the answers to 64 rows held out."
    )
    yield ""
    yield "| arm | tokens/s | tokens/CPU-s | times plain (CPU) | loss after |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    plain = statistics.median(ways[1].cpu)
    for arm in ways:
        wall, cpu = statistics.median(arm.wall), statistics.median(arm.cpu)
        peak = f", {arm.peak / 2**30:.1f} GiB" if arm.peak else ""
        yield (
            f"| {arm.name}{peak} | {tokens / wall:,.0f} | {tokens / cpu:,.0f} | "
            f"{plain / cpu:.2f} | {arm.loss:.3f} |"
        )


def mistral(folder: Path) -> Model:
    """Saves a random checkpoint of Mistral-7B's shape, with the demonstration's tokenizer."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    demo = resolve(str(settings.DEMO_BASE_MODEL), "BONITO_BASE_MODEL")
    load_tokenizer(demo).save_pretrained(folder)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        MistralForCausalLM(MistralConfig()).save_pretrained(folder)
    torch.set_default_dtype(torch.float32)
    torch.cuda.empty_cache()
    return resolve(str(folder), "BONITO_BASE_MODEL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--mistral", action="store_true", help="needs a CUDA card and 20 GB of disk"
    )
    options = parser.parse_args()
    if not options.mistral:
        print(measure(options.rows, options.rounds))
        return
    with tempfile.TemporaryDirectory() as name:
        print(measure(options.rows, options.rounds, mistral(Path(name))))


if __name__ == "__main__":
    main()
