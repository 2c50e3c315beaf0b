"""What a quantised checkpoint needs of the hardware, said before an engine is started.

Without it vLLM gets as far as its first batch, and what it says then names a missing operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resources.hardware import Card
from resources.model import Model, ModelError, read_json

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Needs:
    """The least CUDA compute capability, and the x86 feature by its name in /proc/cpuinfo."""

    capability: tuple[int, int]
    feature: str | None
    called: str


# By the `quant_method` of a checkpoint's config.json. Capabilities are those that vLLM 0.32 asks
# for (get_min_capability). Its CPU build has the product with 4-bit weights only for AVX-512, and
# that with FP8 weights only for AMX; both were tried on a processor with neither.
_NEEDS = {
    "awq": Needs((7, 5), "avx512f", "AVX-512"),
    "gptq": Needs((6, 0), "avx512f", "AVX-512"),
    "fp8": Needs((7, 5), "amx_tile", "AMX"),
    "fbgemm_fp8": Needs((8, 0), None, ""),
}


def quantization(folder: Path) -> str | None:
    """Gives how the weights in `folder` are quantised (``awq``, ``fp8``, ...); None when not."""
    found = read_json(folder / "config.json").get("quantization_config")
    return None if found is None else str(found.get("quant_method", "unknown")).lower()


def require_hardware(
    model: Model, setting: str, cards: Sequence[Card], features: set[str] | None
) -> None:
    """Raises ``ModelError``, naming what is missing, when `model` cannot run here.

    No `cards` means a CPU with these `features` (None where they cannot be read). A kind of
    quantisation that is not listed here is left to the engine to judge.
    """
    kind = quantization(model.folder)
    needs = _NEEDS.get(kind or "")
    if needs is None:
        return
    if cards:
        weak = [card for card in cards if card.capability < needs.capability]
        if not weak:
            return
        has = "{} of compute capability {}.{}".format(weak[0].name, *weak[0].capability)
    else:
        if needs.feature and (features is None or needs.feature in features):
            return
        has = f"CPU without {needs.called}" if needs.feature else "CPU"
    or_cpu = f", or a CPU with {needs.called}" if needs.feature else ""
    raise ModelError(
        f"{setting}: '{model.name}' is quantised ({kind}) and this machine, a {has}, cannot run "
        "it; it takes an NVIDIA card of compute capability {}.{} or more{}. ".format(
            *needs.capability, or_cpu
        )
        + f"Set {setting} to the model that it was quantised from"
    )


def cpu_features() -> set[str] | None:
    """Gives the features of this machine's x86 processor; None where they cannot be read."""
    if not _CPU_INFO.is_file():
        return None
    for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return set(value.split())
    return None
