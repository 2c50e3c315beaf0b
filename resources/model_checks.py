"""A sane model or none: what is wrong with a checkpoint is said before the first row is asked for.

The engine loads missing and non-finite weights without a word and then writes empty texts; a file
that is cut off costs it half a minute and a cause deep in its log; a token that the tokenizer knows
and the model does not kills it. ``check`` finds these in the files, ``canaries`` in what the
running model says.
"""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from resources.generator import Log, Outcome, Request, Session
from resources.model import ADAPTER_WEIGHTS, Model, ModelError, read_json

if TYPE_CHECKING:
    import torch

_INDEX = "model.safetensors.index.json"

# Of each safetensors type the unsigned integer of its size, and the bits that are all set in NaN
# and infinity and in nothing else: the exponent. E4M3 has no infinity and one NaN of either sign,
# E8M0 is an exponent alone with one NaN. Types without either, the integers, are not here.
_NON_FINITE: dict[str, tuple[type[np.unsignedinteger], int]] = {
    "F64": (np.uint64, 0x7FF0_0000_0000_0000),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
    "F8_E5M2": (np.uint8, 0x7C),
    "F8_E4M3": (np.uint8, 0x7F),
    "F8_E8M0": (np.uint8, 0xFF),
}

# Small enough to stay in a core's cache between reading and looking.
_BLOCK = 1 << 20
# The format's own bound on the length of a header, in bytes.
_LONGEST_HEADER = 100_000_000
_NAMED = 3  # tensors that a message names before it counts

_AGAIN = "copy or download it again"

_passed: dict[Model, list[str]] = {}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a safetensors file; ``start`` and ``size`` are bytes of that file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def check(model: Model, log: Log) -> list[str]:
    """Gives what is odd about a checkpoint, one sentence each; most have nothing odd.

    Reads every weight once, at the disk's speed and with flat memory, and is remembered for the
    life of the process. What could not be looked at is logged.
    Raises ``ModelError`` for a checkpoint that the engine cannot or should not run, with the cause.
    """
    if model not in _passed:
        started = time.monotonic()
        if not any(model.folder.glob("*.safetensors")):
            _passed[model] = _check_tokenizer(model)
            log(f"model {model.label}: its weights are not on this machine and were not checked")
            return _passed[model]
        tensors = _read_headers(_weight_files(model.folder))
        adapter = read_header(model.adapter / ADAPTER_WEIGHTS) if model.adapter else []
        _check_index(model.folder, tensors)
        warnings = _check_tokenizer(model)
        _check_architecture(model.folder, tensors, log)
        _check_adapter(model, tensors, adapter)
        _check_finite([*tensors.values(), *adapter])
        _passed[model] = warnings
        size = sum(tensor.size for tensor in tensors.values())
        log(
            f"model {model.label}: {len(tensors) + len(adapter):,} tensors with {size / 1e9:.2f} "
            f"GB of weights checked in {time.monotonic() - started:.1f} s"
        )
    return _passed[model]


def canaries(session: Session, requests: Sequence[Request]) -> None:
    """Asks the running model a few requests; raises ``ModelError`` if the answers are no text.

    That is: a log-probability that is not finite, nothing but white space, or one token over and
    over up to the limit, each of which a broken model shows on every prompt.
    """
    outcomes = list(session.generate(requests))
    answered = [outcome for outcome in outcomes if outcome.rejected_because is None]
    if not answered:
        verdicts = ", ".join(sorted({str(outcome.rejected_because) for outcome in outcomes}))
        raise ModelError(f"none of {len(outcomes)} trial prompts got an answer: {verdicts}")
    seen = _seen(answered)
    if seen is not None:
        raise ModelError(
            f"the model answers {len(answered)} trial prompts with {seen}; its weights, tokenizer "
            "or quantisation are broken, or do not belong together"
        )


def _seen(answered: Sequence[Outcome]) -> str | None:
    """Gives what shows in the answers that the model is broken, or None."""
    logprobs = [o.mean_logprob for o in answered if o.mean_logprob is not None]
    if strange := [value for value in logprobs if not math.isfinite(value)]:
        return f"log-probabilities that are not finite ({strange[0]})"
    if not any((o.output or "").strip() for o in answered):
        return "nothing but white space"
    if all(map(_repeats_one_token, answered)):
        start = (answered[0].output or "")[:20]
        return f"one token over and over up to the limit ('{start}...')"
    return None


def _repeats_one_token(outcome: Outcome) -> bool:
    """Tells whether an output that met the limit is as many equal pieces as it has tokens."""
    text, n = outcome.output or "", outcome.output_tokens or 0
    if outcome.finish_reason != "length" or n < 2:
        return False
    # Some tokenizers drop the space that the first token begins with.
    return any(
        whole == whole[: len(whole) // n] * n for whole in (text, f" {text}") if len(whole) >= n
    )


def _weight_files(folder: Path) -> list[Path]:
    """Gives the files that the engine will read: those of the index, else all there are."""
    if (folder / _INDEX).exists():
        return [folder / name for name in sorted(set(_weight_map(folder).values()))]
    return sorted(p for p in folder.glob("*.safetensors") if p.name != ADAPTER_WEIGHTS)


def _weight_map(folder: Path) -> dict[str, str]:
    try:
        return read_json(folder / _INDEX)["weight_map"]
    except KeyError:
        raise ModelError(f"{folder / _INDEX} holds no weight_map; {_AGAIN}") from None


def _read_headers(files: Iterable[Path]) -> dict[str, Tensor]:
    return {tensor.name: tensor for file in files for tensor in read_header(file)}


def read_header(path: Path) -> list[Tensor]:
    """Gives the tensors of a safetensors file in the order in which they lie there.

    Raises ``ModelError`` when the file is not there, or is not as long as its header says.
    Format (safetensors): eight bytes of header length, little-endian; a JSON object of name to
    dtype, shape and the range of bytes behind the header; the data.
    """
    if not path.exists():
        raise ModelError(f"{path} is missing; {_AGAIN}")
    size = path.stat().st_size
    with path.open("rb") as file:
        opening = file.read(8)
        if opening == b"version ":
            raise ModelError(
                f"{path} is a Git LFS pointer and not the weights; run `git lfs pull` in its folder"
            )
        length = struct.unpack("<Q", opening)[0] if len(opening) == 8 else size
        if 8 + length > size or length > _LONGEST_HEADER:
            raise ModelError(f"{path} is cut off inside its header ({size:,} bytes); {_AGAIN}")
        tensors = _parse(path, file.read(length))
    due = max((tensor.start + tensor.size for tensor in tensors), default=8 + length)
    if due != size:
        raise ModelError(f"{path} has {size:,} bytes where its header says {due:,}; {_AGAIN}")
    return tensors


def _parse(path: Path, header: bytes) -> list[Tensor]:
    data = 8 + len(header)
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        tensors = [
            Tensor(path, name, entry["dtype"], tuple(entry["shape"]), data + start, end - start)
            for name, entry in entries.items()
            for start, end in [entry["data_offsets"]]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: its header is damaged ({error}); {_AGAIN}") from error
    return sorted(tensors, key=lambda tensor: tensor.start)


def _check_index(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises ``ModelError`` when the index places a tensor where there is none."""
    if not (folder / _INDEX).exists():
        return
    for name, file in _weight_map(folder).items():
        if name not in tensors or tensors[name].file.name != file:
            raise ModelError(
                f"{folder / file} does not hold '{name}', though {_INDEX} says so; the files are "
                f"of different versions: {_AGAIN}"
            )


def _check_tokenizer(model: Model) -> list[str]:
    """Gives a warning for tokens that the model does not know; refuses a foreign tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
    except Exception as error:  # as many kinds as there are formats
        raise ModelError(
            f"the tokenizer in {model.folder} cannot be loaded ({_first_line(error)}); put the "
            "model's own tokenizer files beside its weights"
        ) from error
    if tokenizer.vocab_size > model.vocabulary:
        raise ModelError(
            f"the tokenizer in {model.folder} knows {tokenizer.vocab_size:,} tokens and the model "
            f"{model.vocabulary:,}: it belongs to another model; put the model's own tokenizer "
            "files beside its weights"
        )
    beyond = sorted(
        token for token, i in tokenizer.get_added_vocab().items() if i >= model.vocabulary
    )
    if not beyond:
        return []
    return [
        f"the tokenizer in {model.folder} knows tokens that were added to it and not to the model "
        f"({_some(beyond)}); a prompt that holds one is not asked and gets a verdict of its own"
    ]


def _check_architecture(folder: Path, tensors: Mapping[str, Tensor], log: Log) -> None:
    """Raises ``ModelError`` when weights that the config calls for are missing or misshapen.

    Transformers compares: it loads the headers as tensors without data, and so knows which names
    an architecture has had over time and which weights are tied to others.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # Quantised weights go by other names and shapes, and their libraries need not be here.
        quantised = hasattr(config, "quantization_config")
        if quantised:
            del config.quantization_config
        with torch.device("meta"):
            architecture = type(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
        _, found = architecture.from_pretrained(
            None,
            config=config,
            state_dict=_without_data(tensors),
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # as many kinds as there are architectures
        _refuse_foreign_code(folder)
        log(
            f"the names and shapes of the weights in {folder} are not checked, for Transformers "
            f"cannot build this architecture: {_first_line(error)}"
        )
        return
    missing = sorted(found["missing_keys"])
    if quantised:
        missing = _without_module(missing, tensors)
    if missing:
        raise ModelError(
            f"{folder} lacks weights that its config.json calls for ({_some(missing)}); the "
            f"engine would make them up and write nonsense: {_AGAIN}"
        )
    misshapen = sorted(found["mismatched_keys"])
    if misshapen and not quantised:
        name, shape, due = misshapen[0]
        raise ModelError(
            f"{folder}: '{name}' has the shape {list(shape)} and config.json calls for "
            f"{list(due)}; weights and config.json belong to different models"
        )


def _refuse_foreign_code(folder: Path) -> None:
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise ModelError(
            f"{folder} brings Python code for its architecture '{config.get('model_type')}', and "
            "code out of a checkpoint is never run; use a model that Transformers knows by itself"
        )


def _without_data(tensors: Mapping[str, Tensor]) -> dict[str, torch.Tensor]:
    import torch

    return {name: torch.empty(t.shape, device="meta") for name, t in tensors.items()}


def _without_module(missing: Sequence[str], tensors: Mapping[str, Tensor]) -> list[str]:
    """Gives the weights of whose module a quantised checkpoint holds nothing at all.

    Experts, which are one tensor in the model and many in files, are taken to be there.
    """
    modules = {name.rpartition(".")[0] for name in tensors}
    return [
        name
        for name in missing
        if ".experts." not in name and name.rpartition(".")[0] not in modules
    ]


def _check_adapter(model: Model, base: Mapping[str, Tensor], adapter: Sequence[Tensor]) -> None:
    """Raises ``ModelError`` when a LoRA adapter was made for a model of another shape.

    PEFT names the halves of layer `x` ``base_model.model.x.lora_A.weight`` (rank x inputs) and
    ``lora_B`` (outputs x rank). Layers that the base keeps in another form cannot be compared.
    """
    for half in adapter:
        layer, found, kind = half.name.removeprefix("base_model.model.").rpartition(".lora_")
        weight = base.get(f"{layer}.weight")
        if not found or weight is None or weight.dtype not in _NON_FINITE:
            continue
        axis = {"A.weight": 1, "B.weight": 0}.get(kind)
        if axis is not None and half.shape[axis] != weight.shape[axis]:
            raise ModelError(
                f"the adapter in {model.adapter} was made for another model than {model.folder}: "
                f"its '{half.name}' has the shape {list(half.shape)} and the layer under it "
                f"{list(weight.shape)}"
            )


def _check_finite(tensors: Iterable[Tensor]) -> None:
    by_file: dict[Path, list[Tensor]] = {}
    for tensor in tensors:
        by_file.setdefault(tensor.file, []).append(tensor)
    for path, held in by_file.items():
        with path.open("rb") as file:
            for tensor in held:
                if tensor.dtype in _NON_FINITE and not _is_finite(file, tensor):
                    raise ModelError(
                        f"{path}: '{tensor.name}' holds NaN or infinity, from which the engine "
                        "makes empty texts; get another copy of the checkpoint, or an earlier one"
                    )


def _is_finite(file: BinaryIO, tensor: Tensor) -> bool:
    """Tells whether all values are numbers, by their exponents and without turning them into any.

    The bytes come through one small buffer: a mapped file would count as this process's memory.
    """
    kind, exponent = _NON_FINITE[tensor.dtype]
    file.seek(tensor.start)
    for start in range(0, tensor.size, _BLOCK):
        block = np.frombuffer(file.read(min(_BLOCK, tensor.size - start)), kind)
        if block.size and (block & kind(exponent)).max() == exponent:
            return False
    return True


def _some(names: Sequence[str]) -> str:
    """Gives the first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + (f", {more:,} more" * (more > 0))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
