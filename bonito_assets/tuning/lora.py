"""LoRA tuning of a causal language model on prompts and answers, with TRL and PEFT.

The recipe is that of the Bonito paper's adaptation runs: adapters on all linear layers, loss on
the answer only, linear decay from 1e-4 without warm-up, gradient norm 0.3, 16 rows per step.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.base_model import load
from bonito_assets.tuning.examples import Examples, examples
from bonito_assets.tuning.prompts import Encoder
from resources.model import Model, is_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
    from trl import SFTTrainer

ADAPTER = "adapter_model.safetensors"
SEED = 42

# The paper's length of a run; an epoch of more than 160,000 rows is cut there.
_MOST_STEPS = 10_000
_GRADIENT_NORM = 0.3
# Rows that go through the network at once hold at most this many tokens; the rest of a step
# accumulates. By arithmetic, 4 x 1024 tokens of a 7B model in bfloat16 with checkpointing stay
# below 24 GB.
_TOKENS_AT_ONCE = 4096
_MOST_POINTS = 1000
_VALIDATION_ROWS = 200
_SECONDS_BETWEEN_LINES = 5.0


class TuningError(ValueError):
    """The model cannot be tuned as asked; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Outcome:
    """What a tuning run saw and did.

    ``losses`` are (step, mean loss since the last point) in nats per answer token;
    ``validation_loss`` is the loss before and after, None without validation rows.
    """

    rows: int
    shortened: int
    left_out: list[str]
    steps: int
    losses: list[tuple[int, float]]
    validation_loss: tuple[float, float] | None
    seconds: float
    trained_parameters: int
    precision: str


def planned_steps(rows: int, settings: Tuning) -> int:
    """Gives the number of optimizer steps: ``max_steps``, else the epochs, at most 10,000."""
    if settings.max_steps is not None:
        return settings.max_steps
    return min(_MOST_STEPS, max(1, math.ceil(rows * settings.epochs / settings.batch_size)))


def rows_at_once(settings: Tuning) -> int:
    """Gives the greatest divisor of the batch size whose rows keep to the memory limit."""
    most = max(1, _TOKENS_AT_ONCE // settings.max_tokens)
    return max(n for n in range(1, most + 1) if settings.batch_size % n == 0)


def tune(
    base: Model,
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    passages: Mapping[str, str],
    settings: Tuning,
    folder: Path,
    log: Callable[[str], None],
) -> Outcome:
    """Tunes `base` on the rows of `train` and saves adapter and tokenizer into `folder`.

    `passages` are by chunk_id; they are what is shortened in rows that are too long.
    Raises ``TuningError`` when there is no row to learn from or the loss stops being a number.
    """
    model, tokenizer = load(base)  # first, since it settles how many threads torch gets
    from transformers import set_seed

    encoder = Encoder(tokenizer)
    budget = min(settings.max_tokens, base.max_tokens)
    learned = examples(train, passages, encoder, budget)
    held_out = examples(validation[:_VALIDATION_ROWS], passages, encoder, budget)
    if not len(learned):
        raise TuningError(
            f"there is nothing to tune on: of {len(train):,} rows in the split 'train' none fits "
            f"into {budget:,} tokens; look at the verdicts of curated_tasks, or raise "
            "tuning.max_tokens"
        )
    steps = planned_steps(len(learned), settings)
    log(f"tuning on {len(learned):,} rows for {steps:,} steps of {settings.batch_size}")
    with tempfile.TemporaryDirectory(prefix="bonito-tuning-") as scratch:
        trainer = _trainer(model, tokenizer, learned, settings, steps, scratch)
        watch = _watch(steps, log)
        trainer.add_callback(watch)
        started = time.monotonic()
        before = _loss(trainer, held_out)
        set_seed(SEED)  # measuring the held-out loss has drawn random numbers
        trainer.train()
        after = _loss(trainer, held_out)
    _save(trainer.model, tokenizer, base, folder)
    return Outcome(
        rows=len(learned),
        shortened=learned.shortened,
        left_out=learned.left_out,
        steps=steps,
        losses=watch.losses,
        validation_loss=None if before is None or after is None else (before, after),
        seconds=time.monotonic() - started,
        trained_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        precision=str(model.dtype).removeprefix("torch."),
    )


def _trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learned: Examples,
    settings: Tuning,
    steps: int,
    scratch: str,
) -> SFTTrainer:
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    at_once = rows_at_once(settings)
    gpu = model.device.type == "cuda"
    arguments = SFTConfig(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=at_once,
        per_device_eval_batch_size=at_once,
        gradient_accumulation_steps=settings.batch_size // at_once,
        train_sampling_strategy="group_by_length",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        max_grad_norm=_GRADIENT_NORM,
        bf16=str(model.dtype) == "torch.bfloat16",
        gradient_checkpointing=gpu,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        seed=SEED,
        max_length=None,  # the rows fit already, and TRL would cut the answer
        logging_steps=max(1, steps // _MOST_POINTS),
        logging_nan_inf_filter=False,  # it would hide the very values that stop the run
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(learned),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=settings.lora_r,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(rows: Examples) -> Any:
    """Gives the rows as TRL takes them when it shall not tokenize again."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": rows.input_ids, "labels": rows.labels})


def _loss(trainer: SFTTrainer, rows: Examples) -> float | None:
    return trainer.evaluate(_dataset(rows))["eval_loss"] if len(rows) else None


def _watch(steps: int, log: Callable[[str], None]) -> TrainerCallback:
    """Gives the callback that keeps the loss curve, logs progress and stops a diverged run."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.losses: list[tuple[int, float]] = []
            self.started = self.last_line = time.monotonic()

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.started = self.last_line = time.monotonic()

        def on_log(
            self, _args: Any, state: Any, _control: Any, logs: dict[str, float], **_: Any
        ) -> None:
            if "loss" not in logs:
                return
            loss, step = float(logs["loss"]), state.global_step
            if not math.isfinite(loss) or not math.isfinite(logs.get("grad_norm", 0.0)):
                raise TuningError(
                    f"the loss was not a number at step {step} of {steps}; the earlier model is "
                    "kept. Lower tuning.learning_rate, and check the base model's weights"
                )
            self.losses.append((step, loss))
            now = time.monotonic()
            if now - self.last_line >= _SECONDS_BETWEEN_LINES or step == steps:
                self.last_line = now
                rate = step / (now - self.started)
                log(
                    f"tuning: step {step:,} of {steps:,}, loss {loss:.3f}, {rate:.2f} steps/s, "
                    f"{(steps - step) / rate:,.0f} s left"
                )

    return Watch()


def _save(model: Any, tokenizer: PreTrainedTokenizerBase, base: Model, folder: Path) -> None:
    """Saves the adapter in PEFT's format; it names its base model as the user did."""
    config = model.peft_config["default"]
    if is_path(base.name):
        config.base_model_name_or_path = str(base.folder.absolute())
    else:
        config.base_model_name_or_path = base.name.partition("@")[0]
        config.revision = base.fingerprint
    # "auto" would ask the hub whether the vocabulary has grown; it never does here.
    model.save_pretrained(folder, save_embedding_layers=False)
    tokenizer.save_pretrained(folder)
