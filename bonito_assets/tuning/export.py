"""A whole model out of a base and its adapter, for whatever reads no adapters."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from bonito_assets.tuning.base_model import SETTING, load_tokenizer
from bonito_assets.tuning.record import RECORD, read_record
from resources.model import Model, ModelError
from resources.store import sync_folder, sync_tree

# Files of more than this are cut, as the hub asks.
_SHARD = "5GB"


def export(adapter: Path, base: Model, folder: Path, small: bool = False) -> None:
    """Merges the adapter into `base` and saves a checkpoint, with tokenizer, as `folder`.

    The weights are safetensors in float32, which says what base and adapter say; `small` takes the
    base's own precision, where what the adapter adds is rounded: of a bfloat16 base,
    log-probabilities then differ by some hundredths per token. `folder` appears when it is whole.
    Raises ``ModelError`` when `folder` holds something already or the adapter is of another base.
    """
    record = read_record(adapter)
    if record["base_model"]["fingerprint"] != base.fingerprint:
        raise ModelError(
            f"{SETTING}: the adapter was tuned over {record['base_model']['name']} "
            f"({record['base_model']['fingerprint'][:12]}) and '{base.name}' has other weights; "
            f"set {SETTING} to the model it was tuned over"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} holds something already; name a folder that is not there yet")
    tokenizer = load_tokenizer(base)
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        base.folder,
        dtype="auto" if small else "float32",
        use_safetensors=True,
        trust_remote_code=False,
    )
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        merged.save_pretrained(temporary, max_shard_size=_SHARD)
        tokenizer.save_pretrained(temporary)
        shutil.copy(adapter / RECORD, temporary / RECORD)
        (temporary / "README.md").write_text(_card(record), encoding="utf-8")
        sync_tree(temporary)
        temporary.replace(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _card(record: dict) -> str:
    base = record["base_model"]
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [bonito]
---
# `{base["name"]}` tuned for the corpus `{record["corpus"]}`

The base model ({base["fingerprint"]}) with the adapter of arm `{record["arm"]}` merged into its
weights. `training.json` says what the adapter was made from, its prompt included.
"""
