"""The settings that come from the environment, each with a default that works.

Read when definitions load, so that a run shows in the UI with what it ran with.
"""

from __future__ import annotations

import os
from pathlib import Path

from resources.vllm_engine import VllmEngine

PROJECT = Path(__file__).resolve().parents[1]

DEMO_MODEL = PROJECT / "models" / "bonito-demo"
DEMO_BASE_MODEL = PROJECT / "models" / "base-demo"
BONITO_V1 = "BatsResearch/bonito-v1"
# The base model of the paper's recipe: bonito.md of the authors' card, Mistral-7B-v0.1.
BASE_V1 = "mistralai/Mistral-7B-v0.1"


def has_gpu() -> bool:
    """Tells whether an NVIDIA card is to be used, without importing torch.

    ``BONITO_ENGINE``, by which the setup chose its packages, decides where it is set.
    """
    engine = os.environ.get("BONITO_ENGINE")
    if engine:
        return engine == "gpu"
    return Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists()


def data_root() -> str:
    """Gives ``BONITO_DATA``: the folder or fsspec URL that holds all tables and models."""
    return _location("BONITO_DATA", PROJECT / "data")


def corpora_folder() -> Path:
    """Gives ``BONITO_CORPORA``: the folder of catalogue files."""
    return Path(_location("BONITO_CORPORA", PROJECT / "corpora"))


def model() -> str:
    """Gives ``BONITO_MODEL``: hub id, ``id@revision`` or folder of the generating model."""
    return os.environ.get("BONITO_MODEL") or (BONITO_V1 if has_gpu() else str(DEMO_MODEL))


def base_model() -> str:
    """Gives ``BONITO_BASE_MODEL``: hub id or folder of the model that is tuned."""
    return os.environ.get("BONITO_BASE_MODEL") or (BASE_V1 if has_gpu() else str(DEMO_BASE_MODEL))


def generator() -> VllmEngine:
    """Gives the backend that ``BONITO_BACKEND`` names, over the model of ``BONITO_MODEL``.

    Raises ``ValueError`` for a backend that there is not.
    """
    backend = os.environ.get("BONITO_BACKEND") or "engine"
    if backend != "engine":
        raise ValueError(
            f"BONITO_BACKEND: there is no backend '{backend}'; unset it, or set it to: engine"
        )
    return VllmEngine(model=model())


def _location(variable: str, default: Path) -> str:
    value = os.environ.get(variable)
    if not value:
        return str(default)
    return value if "://" in value else str(Path(value).expanduser().absolute())
