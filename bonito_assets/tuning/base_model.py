"""The base model: what is tuned, and what the tuned model is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import threads
from resources.model import Model, ModelError, resolve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SETTING = "BONITO_BASE_MODEL"

# One of these holds the vocabulary of any tokenizer that transformers reads.
_VOCABULARIES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json"
)  # fmt: skip


class BaseModel(dg.ConfigurableResource):
    """The causal language model that is tuned: a hub id, ``id@revision`` or a folder."""

    name: str

    def resolve(self) -> Model:
        """Gives the checkpoint; raises ``ModelError`` when it is not there."""
        return resolve(self.name, SETTING)


def load(base: Model) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads model and tokenizer: bfloat16 on a GPU that has it, else float32.

    Raises ``ModelError`` when transformers cannot read the files.
    """
    tokenizer = load_tokenizer(base)
    return load_model(base), tokenizer


def load_tokenizer(base: Model) -> PreTrainedTokenizerBase:
    """Loads the tokenizer, with a padding token where it names none.

    Raises ``ModelError`` when there is none or it cannot end an answer.
    """
    _prepare(base)
    from transformers import AutoTokenizer

    if not any((base.folder / name).exists() for name in _VOCABULARIES):
        raise ModelError(
            f"{SETTING}: '{base.name}' has no tokenizer ({', '.join(_VOCABULARIES[:2])} or the "
            "like); put the files of the one that it was trained with beside its weights"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)
    # A damaged tokenizer.json raises whatever the library of its format raises.
    except Exception as error:
        raise ModelError(
            f"{SETTING}: the tokenizer of '{base.name}' cannot be loaded: {error}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{SETTING}: the tokenizer of '{base.name}' names no eos_token, so answers would have "
            "no end; add it to tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: Model, four_bit: bool = False) -> PreTrainedModel:
    """Loads the weights onto the GPU (that of this process, of several) or the CPU.

    `four_bit` holds the linear layers in 4 bits: nf4 with double quantisation, as QLoRA does
    (Dettmers et al. 2023). Raises ``ModelError`` when transformers cannot read the files.
    """
    _prepare(base)
    import torch
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    gpu, dtype = torch.cuda.is_available(), compute_dtype()
    place = PartialState().device if gpu else torch.device("cpu")
    how: dict[str, Any] = {"dtype": dtype if dtype == torch.bfloat16 else torch.float32}
    if four_bit:
        quantised = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        # Weights are quantised where they are put, and cannot be moved afterwards.
        how = {"dtype": dtype, "quantization_config": quantised, "device_map": {"": place}}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base.folder, use_safetensors=True, trust_remote_code=False, **how
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"{SETTING}: '{base.name}' cannot be loaded: {error}") from error
    return model.eval() if four_bit else model.to(place).eval()


def compute_dtype() -> torch.dtype:
    """Gives what the hardware multiplies in: bfloat16, float16 on older GPUs, float32 on a CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _prepare(base: Model) -> None:
    """Settles how many threads torch gets, before it is imported, and keeps libraries quiet."""
    threads.spare(base)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
