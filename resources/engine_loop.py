"""vLLM in this process, driven step by step: requests in, outcomes out as they finish.

Whoever holds an ``EngineLoop`` keeps it fed: about twice ``max_num_seqs`` requests under way keep
the scheduler full. The engine backend holds one in a child process, the Ray backend one per actor.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources import threads
from resources.generator import Outcome, Sampling

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

# What the process or actor that holds an engine runs, as ``module:name``.
ENGINE_LOOP = f"{__name__}:EngineLoop"
# The arguments of ``EngineLoop.add``, as they travel to it.
Entry = tuple[str, list[int], Sampling, int | None]

# The ranks that vLLM has room for.
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True)
class EngineArguments:
    """The arguments of vLLM that matter here; None leaves the choice to the hardware found.

    ``adapter`` is the folder of a LoRA adapter that every request goes through. ``max_model_len``
    bounds the window that the prompts are judged by, and the engine is started with that window.
    ``seed`` is what the draws of requests without a seed of their own start from; None is a new one
    for each engine. ``extra`` holds any further argument of vLLM's ``EngineArgs``.
    Raises ``ValueError`` for an argument in ``extra`` that is a field: adapter and quantisation are
    part of what a model is, and must not come in unseen.
    """

    tensor_parallel_size: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    enable_chunked_prefill: bool | None = None
    kv_cache_dtype: str | None = None
    load_format: str | None = None
    enforce_eager: bool | None = None
    adapter: str | None = None
    seed: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {f.name for f in dataclasses.fields(self)} | {"model"}
        if doubled := sorted(own & self.extra.keys()):
            raise ValueError(f"extra: {doubled[0]} has a setting of its own; set that instead")

    def filled(self, defaults: dict[str, Any]) -> EngineArguments:
        """Gives these arguments with `defaults` in place of what is None."""
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)

    def set_values(self) -> dict[str, Any]:
        """Gives the arguments that have a value, for people and for vLLM."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        extra = values.pop("extra")
        return {name: value for name, value in values.items() if value is not None} | extra


class EngineLoop:
    """One engine over the checkpoint in `folder`, with a window of `window` tokens.

    Starting it takes seconds to minutes and raises whatever vLLM raises. ``max_num_seqs`` is what
    the scheduler runs at once, ``device`` what it runs on, ``arguments`` what was chosen.
    """

    def __init__(self, folder: Path, window: int, arguments: EngineArguments) -> None:
        size = threads.weight_bytes(folder)
        threads.spare_for(size)
        # vLLM's own engine process outlives a killed parent and keeps the card.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; read on a CPU only
        # A worker that hangs is given up after this, and not after five minutes; it matters only
        # where there are workers, which is with more than one card.
        os.environ.setdefault("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", "60")
        from resources.hardware import defaults, find_cards

        # With one seed for every engine a later one would draw the earlier one's numbers again, and
        # a second sample of the same prompts would be the first.
        chosen = {"seed": secrets.randbelow(1 << 31), **defaults(size, find_cards())}
        self.arguments = arguments.filled(chosen)
        self._adapter = _adapter(self.arguments.adapter)
        from vllm import LLM
        from vllm.v1.engine.logprobs import LogprobsProcessor

        LogprobsProcessor._update_sample_logprobs = _add_up
        self._engine = LLM(**llm_arguments(folder, window, self.arguments)).llm_engine
        self.max_num_seqs: int = self._engine.vllm_config.scheduler_config.max_num_seqs

    @property
    def device(self) -> str:
        """Gives the name of the accelerator, or ``cpu``."""
        from vllm.platforms import current_platform

        return current_platform.get_device_name()

    @property
    def busy(self) -> bool:
        """Tells whether requests are under way."""
        return self._engine.has_unfinished_requests()

    def add(self, name: str, ids: list[int], sampling: Sampling, seed: int | None) -> None:
        """Puts one judged prompt into the scheduler's queue; `name` must be unique in there."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed,
            logprobs=0,  # of the drawn token only: what the mean is made of
            skip_clone=True,  # it is made for this request alone
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._engine.add_request(
            name, {"prompt_token_ids": ids}, parameters, lora_request=self._adapter
        )

    def step(self) -> list[Outcome]:
        """Lets the engine take one step; gives what finished by it, keyed by the names given."""
        return [_outcome(output) for output in self._engine.step() if output.finished]

    def close(self) -> None:
        """Frees the engine's memory and ends its workers."""
        from vllm.distributed import cleanup_dist_env_and_memory

        self._engine.engine_core.shutdown()
        del self._engine
        gc.collect()
        cleanup_dist_env_and_memory()


def llm_arguments(folder: Path, window: int, arguments: EngineArguments) -> dict[str, Any]:
    """Gives the keyword arguments of vLLM's ``LLM`` for a checkpoint and a window in tokens."""
    values = {"model": str(folder), **arguments.set_values(), "max_model_len": window}
    if (adapter := values.pop("adapter", None)) is not None:
        values |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(Path(adapter))}
    return {"trust_remote_code": False, "disable_log_stats": True, **values}


def _adapter(folder: str | None) -> LoRARequest | None:
    if folder is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, folder)


def _rank(adapter: Path) -> int:
    """Gives the smallest rank that vLLM has room for and that holds the adapter's own."""
    own = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    return next((rank for rank in _LORA_RANKS if rank >= own), own)


def _add_up(processor: Any, drawn: Any) -> None:
    """Takes the place of ``LogprobsProcessor._update_sample_logprobs``, in this process alone.

    vLLM makes a dictionary and a decoded string for each token, and of all that only the sum is
    read here. Where a release of vLLM has no such method, the sum is just had the dear way.
    """
    processor.cumulative_logprob += float(drawn.logprobs[:, 0].sum(dtype=float))


def _outcome(output: Any) -> Outcome:
    completion = output.outputs[0]
    n = len(completion.token_ids)
    return Outcome(
        key=output.request_id,
        output=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        output_tokens=n,
        mean_logprob=completion.cumulative_logprob / n if n else None,
    )
