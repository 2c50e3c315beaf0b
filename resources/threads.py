"""How many threads a model is worth on a CPU."""

from __future__ import annotations

import os
from pathlib import Path

from resources.model import Model

# Below this the work of one layer is shorter than the wait of its threads for each other. Measured
# with a network of 4 million parameters beside one busy program on two cores: 3 tuning steps in
# 170 s with two threads, 20 in 15 s with one.
_SMALL_BYTES = 200_000_000


def spare(model: Model) -> None:
    """Keeps a small model on a CPU to one thread, pinned nowhere; what is set already stays.

    To be called before torch is imported: OpenMP reads its settings once.
    """
    spare_for(weight_bytes(model.folder))


def spare_for(size: int) -> None:
    """As ``spare``, for weights of `size` bytes."""
    if size < _SMALL_BYTES:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


def weight_bytes(folder: Path) -> int:
    """Gives the size of a checkpoint's weights on disk."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
