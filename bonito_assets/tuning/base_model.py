"""The base model: what is tuned, and what the tuned model is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from resources import threads
from resources.model import Model, ModelError, resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SETTING = "BONITO_BASE_MODEL"


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
    threads.spare(base)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            base.folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"{SETTING}: '{base.name}' cannot be loaded: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{SETTING}: the tokenizer of '{base.name}' names no eos_token, so answers would have "
            "no end; add it to tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to("cuda" if gpu else "cpu").eval(), tokenizer
