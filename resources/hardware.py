"""What the machine has to generate with, and the engine's settings that follow from it.

What is not settled here is left to vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_GIB = 1 << 30

# vLLM's own share: the rest is for the CUDA context and what other programs hold.
_UTILIZATION = 0.9

# Beside the weights a card holds the keys and values of the running sequences. Mistral-7B takes
# 128 KiB per token, so 0.2 of its weights is room for 22,000 tokens: five windows of 4,096, or 40
# requests of Bonito's usual 400 + 150 tokens. A model without grouped heads takes four times as
# much and still has one whole window.
_KV_SHARE = 0.2
# Activations of a batch of 8,192 tokens, and CUDA graphs.
_WORKSPACE = 2 * _GIB

# A decode step reads all weights however many sequences run, so more of them are cheaper: by
# arithmetic an H200 decodes 36,000 tokens/s of a 7B model with 256 sequences and 55,000 with
# 1,024. From 70 GiB on the memory holds that many of Bonito's length. On a CPU 256 was the best of
# 16, 64, 256 and 1,024 (27.5, 21.8, 20.2 and 20.7 CPU seconds for the same work).
_LARGE = 70 * _GIB
_LARGE_SEQUENCES = 1024
_SEQUENCES = 256
# Tokens per step: what vLLM takes itself for offline work. Prefill is 72% of Bonito's arithmetic;
# a large card is only filled by large batches, an A100 is slower with them.
_LARGE_BATCH = 16384
_BATCH = 8192

# The first NVIDIA generation that computes in bfloat16 (Ampere).
_BFLOAT16 = (8, 0)


@dataclass(frozen=True, slots=True)
class Card:
    """One accelerator: its name, memory in bytes and CUDA compute capability."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]


def find_cards() -> list[Card]:
    """Gives the accelerators that this process may use; none on a machine without."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    return [Card(card.name, card.total_memory, (card.major, card.minor)) for card in found]


def defaults(model_bytes: int, cards: Sequence[Card]) -> dict[str, Any]:
    """Gives the vLLM engine arguments for weights of `model_bytes` on `cards`; none means a CPU.

    Raises ``ValueError`` when the cards together cannot hold the model.
    """
    if not cards:
        return {
            "tensor_parallel_size": 1,
            "dtype": "auto",
            "max_num_seqs": _SEQUENCES,
            # Compiling takes longer than a laptop's whole job; on a card it pays.
            "enforce_eager": True,
            # A seeded request whose prompt comes in pieces kills vLLM 0.32 on a CPU ("CPU
            # Generator does not use offset").
            "enable_chunked_prefill": False,
        }
    large = all(c.memory_bytes >= _LARGE and "A100" not in c.name for c in cards)
    return {
        "tensor_parallel_size": _tensor_parallel_size(model_bytes, cards),
        "dtype": "auto" if all(c.capability >= _BFLOAT16 for c in cards) else "half",
        "gpu_memory_utilization": _UTILIZATION,
        "max_num_seqs": _LARGE_SEQUENCES if large else _SEQUENCES,
        "max_num_batched_tokens": _LARGE_BATCH if large else _BATCH,
        "enforce_eager": False,
    }


def _tensor_parallel_size(model_bytes: int, cards: Sequence[Card]) -> int:
    """Gives the fewest cards that hold the model: each split adds traffic between them.

    Only powers of two divide the heads of every usual model, and each card gets an equal part, so
    the smallest card counts.
    """
    usable = _UTILIZATION * min(card.memory_bytes for card in cards)
    size = 1
    while size <= len(cards):
        if model_bytes * (1 + _KV_SHARE) / size + _WORKSPACE <= usable:
            return size
        size *= 2
    raise ValueError(
        f"the model's weights take {model_bytes / _GIB:.1f} GiB, and {len(cards)} x "
        f"{cards[0].name} with {min(card.memory_bytes for card in cards) / _GIB:.0f} GiB cannot "
        "hold them with room for generating; use a quantised checkpoint (AWQ, GPTQ, FP8), a "
        "smaller model, or more cards"
    )
