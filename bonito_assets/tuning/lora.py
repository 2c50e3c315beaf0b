"""LoRA and QLoRA tuning of a causal language model, with TRL and PEFT.

The recipe is that of the Bonito paper's adaptation runs: adapters of rank 64 on all linear layers,
loss on the answer only, linear decay from 1e-4 without warm-up, gradient norm 0.3, 16 rows per
optimizer step, 10,000 steps or one epoch if that is less.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning import cards
from bonito_assets.tuning.base_model import compute_dtype, load_model, load_tokenizer
from bonito_assets.tuning.checkpoints import Checkpoints, Progress
from bonito_assets.tuning.errors import TuningError
from bonito_assets.tuning.examples import Examples, blocks, examples
from bonito_assets.tuning.order import order
from bonito_assets.tuning.prompts import Encoder
from resources.model import Model, ModelError, is_path
from resources.threads import weight_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import SFTTrainer

ADAPTER = "adapter_model.safetensors"
SEED = 42
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")

# The paper's length of a run; an epoch of more than 160,000 rows is cut there.
_MOST_STEPS = 10_000
_GRADIENT_NORM = 0.3
# Rows that go through the network at once hold at most this many tokens; the rest of a step
# accumulates. By arithmetic, 4 x 1024 tokens of a 7B model in bfloat16 with checkpointing stay
# below 24 GB.
_TOKENS_AT_ONCE = 4096
_MOST_POINTS = 1000
_VALIDATION_ROWS = 200
# What a kill costs at most. A 7B's checkpoint is about 2 GB: seconds of writing.
_SECONDS_BETWEEN_CHECKPOINTS = 300.0
# Part of what a checkpoint depends on: to be raised when it would not fit the code any more.
_CODE = 1


@dataclass(frozen=True)
class Outcome:
    """What a tuning run saw and did.

    ``losses`` are (step, mean loss since the last point) in nats per token that carries loss;
    ``validation_loss`` is the mean over held-out rows before and after, None without any.
    ``tokens`` went through the network, padding not counted. ``prompt`` is None where there is
    none.
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
    method: str
    prompt: str | None
    tokens: int
    cards: int
    resumed_at: list[int]


@dataclass(frozen=True)
class Job:
    """Everything that training needs; ``checkpoints`` is where unfinished runs lie, if anywhere."""

    base: Model
    learned: Examples
    held_out: Examples
    settings: Tuning
    folder: Path
    checkpoints: Path | None
    seconds_between_checkpoints: float = _SECONDS_BETWEEN_CHECKPOINTS
    processes: int = 1


def most_rows(settings: Tuning) -> int:
    """Gives how many rows the longest run of `settings` can see."""
    return (settings.max_steps or _MOST_STEPS) * settings.batch_size


def planned_steps(rows: int, settings: Tuning) -> int:
    """Gives the number of optimizer steps: ``max_steps``, else the epochs, at most 10,000."""
    if settings.max_steps is not None:
        return settings.max_steps
    return min(_MOST_STEPS, max(1, math.ceil(rows * settings.epochs / settings.batch_size)))


def rows_at_once(settings: Tuning, processes: int = 1) -> int:
    """Gives the greatest divisor of a card's rows per step that keeps to the memory limit."""
    most = max(1, _TOKENS_AT_ONCE // settings.max_tokens)
    rows = settings.batch_size // processes
    return max(n for n in range(1, most + 1) if rows % n == 0)


def method(base: Model, settings: Tuning) -> str:
    """Gives ``lora`` or ``qlora``, by whether the base would fill half of the card's memory."""
    if settings.method != "auto":
        return settings.method
    import torch

    if not torch.cuda.is_available():
        return "lora"
    memory = torch.cuda.get_device_properties(0).total_memory
    return "qlora" if weight_bytes(base.folder) > memory / 2 else "lora"


def tune(
    base: Model,
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    passages: Mapping[str, str],
    settings: Tuning,
    folder: Path,
    log: Callable[[str], None],
    checkpoints: Path | None = None,
) -> Outcome:
    """Tunes `base` on the rows of `train` and saves adapter and tokenizer into `folder`.

    `passages` are by chunk_id; they are what is shortened in rows that are too long. With a
    folder for `checkpoints`, a run that was killed there goes on where it was.
    Raises ``TuningError`` when there is no row to learn from or the loss stops being a number,
    ``ModelError`` when the base model cannot be used.
    """
    encoder = Encoder(load_tokenizer(base), settings.prompt)
    budget = min(settings.max_tokens, base.max_tokens)
    learned = examples(train, passages, encoder, budget)
    held_out = examples(validation[:_VALIDATION_ROWS], passages, encoder, budget)
    if not len(learned):
        raise TuningError(
            f"there is nothing to tune on: of {len(train):,} rows in the split 'train' none fits "
            f"into {budget:,} tokens; look at the verdicts of curated_tasks, or raise "
            "tuning.max_tokens"
        )
    outcome = train_on(Job(base, learned, held_out, settings, folder, checkpoints), log)
    return replace(outcome, prompt=encoder.form)


def tune_on_text(
    base: Model,
    train: Iterable[str],
    validation: Iterable[str],
    settings: Tuning,
    folder: Path,
    log: Callable[[str], None],
    checkpoints: Path | None = None,
) -> Outcome:
    """Tunes `base` to go on with raw text, in blocks of ``max_tokens``; else as ``tune``.

    This is task-adaptive pretraining (Gururangan et al. 2020), the paper's other arm.
    """
    encoder = Encoder(load_tokenizer(base), "bonito")
    budget = min(settings.max_tokens, base.max_tokens)
    learned = blocks(train, encoder, budget, most_rows(settings))
    held_out = blocks(validation, encoder, budget, _VALIDATION_ROWS)
    if not len(learned):
        raise TuningError(
            "there is no text to tune on: no passage of a document outside the validation split; "
            "take 'tapt' out of tuning.arms, or look at the verdicts of chunks"
        )
    return train_on(Job(base, learned, held_out, settings, folder, checkpoints), log)


def tune_on_pairs(
    base: Model,
    pairs: Iterable[tuple[str, str]],
    held_out: Iterable[tuple[str, str]],
    settings: Tuning,
    folder: Path,
    log: Callable[[str], None],
    checkpoints: Path | None = None,
) -> Outcome:
    """Tunes `base` on (prompt, completion) pairs whose prompt is whole already; else as ``tune``.

    A pair that does not fit into ``max_tokens`` is left out and named by its number.
    """
    encoder = Encoder(load_tokenizer(base), "bonito")
    budget = min(settings.max_tokens, base.max_tokens)
    learned = _pairs(pairs, encoder, budget)
    if not len(learned):
        raise TuningError(
            f"there is nothing to tune on: no pair fits into {budget:,} tokens; raise max_tokens, "
            "or make pairs of shorter passages"
        )
    known = _pairs(held_out, encoder, budget)
    return train_on(Job(base, learned, known, settings, folder, checkpoints), log)


def _pairs(pairs: Iterable[tuple[str, str]], encoder: Encoder, budget: int) -> Examples:
    result = Examples()
    for number, (prompt, completion) in enumerate(pairs):
        before, after = encoder.pair(prompt, completion)
        if len(before) + len(after) > budget:
            result.left_out.append(str(number))
        else:
            result.add(before, after)
    return result


def train_on(job: Job, log: Callable[[str], None]) -> Outcome:
    """Trains on examples that are made already: on every card of this machine, or its CPU.

    Raises ``TuningError`` as ``tune`` does, ``ModelError`` when a token has no embedding.
    """
    greatest = max(int(ids.max()) for ids in job.learned.input_ids)
    if greatest >= job.base.vocabulary:
        raise ModelError(
            f"BONITO_BASE_MODEL: the tokenizer of '{job.base.name}' writes token {greatest:,} and "
            f"the model knows {job.base.vocabulary:,}; it is the tokenizer of another model"
        )
    steps = planned_steps(len(job.learned), job.settings)
    log(f"tuning on {len(job.learned):,} rows for {steps:,} steps of {job.settings.batch_size}")
    processes = cards.usable(job.settings.batch_size)
    if processes > 1:
        return cards.on_all(replace(job, processes=processes), log)
    return run(job, log)


def run(job: Job, log: Callable[[str], None]) -> Outcome:
    """Trains in this process, which may be one of several that share the rows of a step."""
    from bonito_assets.tuning.watch import Watch, held_out_loss, losses

    how = method(job.base, job.settings)
    settings, steps = job.settings, planned_steps(len(job.learned), job.settings)
    rows = steps * settings.batch_size
    if settings.max_steps is None:
        rows = min(rows, math.ceil(len(job.learned) * settings.epochs))
    lengths = job.learned.lengths
    places = order(lengths, rows, settings.batch_size, SEED)
    with ExitStack() as stack:
        kept = None
        if job.checkpoints is None:
            scratch = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bonito-tuning-"))
            )
        else:
            kept = Checkpoints(job.checkpoints, _key(job, how))
            scratch = kept.folder
        trainer = _trainer(job, how, places, steps, scratch)
        resume, progress = None, Progress()
        if kept is not None:
            with trainer.accelerator.main_process_first():
                resume, progress = kept.latest()
        if resume is not None:
            progress = replace(progress, resumed_at=(*progress.resumed_at, progress.step))
            log(f"going on after step {progress.step:,} of {steps:,}, where the last run ended")
        watch = Watch(steps, log, kept, progress, job.seconds_between_checkpoints)
        trainer.add_callback(watch)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        seconds = watch.seconds
        validation_loss = None
        if len(job.held_out):
            after = trainer.evaluate()["eval_loss"]
            validation_loss = (held_out_loss(trainer.state), after)
        trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        if trainer.is_world_process_zero():
            _save(trainer.model, trainer.processing_class, job.base, job.folder)
    return Outcome(
        rows=len(job.learned),
        shortened=job.learned.shortened,
        left_out=job.learned.left_out,
        steps=steps,
        losses=losses(trainer.state),
        validation_loss=validation_loss,
        seconds=seconds,
        trained_parameters=trained,
        precision=_precision(how),
        method=how,
        prompt=None,
        tokens=sum(lengths[place] for place in places),
        cards=job.processes,
        resumed_at=list(progress.resumed_at),
    )


def _trainer(job: Job, how: str, places: list[int], steps: int, scratch: Path) -> SFTTrainer:
    from peft import LoraConfig
    from transformers import PrinterCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    class Trainer(SFTTrainer):
        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Writes none: ours stands beside the adapter, and a checkpoint needs none."""

    settings = job.settings
    model = load_model(job.base, four_bit=how == "qlora")
    gpu = model.device.type == "cuda"
    at_once = rows_at_once(settings, job.processes)
    arguments = SFTConfig(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=at_once,
        per_device_eval_batch_size=1,  # so the mean is over rows, however many cards share them
        gradient_accumulation_steps=settings.batch_size // at_once // job.processes,
        train_sampling_strategy="sequential",  # `places` is the order
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        max_grad_norm=_GRADIENT_NORM,
        # Paged: the optimizer's state goes to the host's memory while a long row needs the card's.
        optim="paged_adamw_32bit" if gpu else "adamw_torch",
        bf16=_precision(how) == "bfloat16",
        fp16=_precision(how) == "float16",
        gradient_checkpointing=gpu,
        # Not by `evaluate` beforehand: Accelerate would take the model for prepared after that, and
        # several cards would never share their gradients.
        eval_on_start=len(job.held_out) > 0,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        seed=SEED,
        max_length=None,  # the rows fit already, and TRL would cut the answer
        logging_steps=max(1, steps // _MOST_POINTS),
        logging_nan_inf_filter=False,  # it would hide the very values that stop the run
        save_strategy="no",  # `Watch` says when
        report_to="none",
        disable_tqdm=True,
    )
    set_seed(SEED)  # the adapter's first weights are random
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(job.learned).select(places),
        eval_dataset=_dataset(job.held_out) if len(job.held_out) else None,
        processing_class=load_tokenizer(job.base),
        peft_config=LoraConfig(
            r=settings.lora_r,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    for weights in trainer.model.parameters():
        # TRL makes them bfloat16 over a quantised base: too coarse for steps of 1e-4 to add up.
        if weights.requires_grad:
            weights.data = weights.data.float()
    trainer.remove_callback(PrinterCallback)
    return trainer


def _precision(how: str) -> str:
    """Gives the precision of the base model in training; float16 only under a 4-bit base."""
    name = str(compute_dtype()).removeprefix("torch.")
    return "float32" if name == "float16" and how == "lora" else name


def _key(job: Job, how: str) -> str:
    """Gives the digest of all that a checkpoint depends on."""
    parts = {
        "base": job.base.fingerprint,
        "data": job.learned.digest(),
        "settings": job.settings.model_dump(exclude={"arms", "prompt", "method"}),
        "method": how,
        "precision": _precision(how),
        "processes": job.processes,
        "seed": SEED,
        "code": _CODE,
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _dataset(rows: Examples) -> Any:
    """Gives the rows as TRL takes them when it shall not tokenize again."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": rows.input_ids, "labels": rows.labels})


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
