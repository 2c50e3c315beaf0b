"""vLLM in the process of the step that uses it.

One process, no engine child: whatever kills the step takes the engine and its memory with it
(vLLM's own child processes outlive a killed parent and keep the card).
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import threads
from resources.generator import Outcome, Request, Sampling
from resources.model import Model, resolve

if TYPE_CHECKING:
    from vllm import LLM

# Passages are short, so a long window would only reserve memory that nothing uses.
_WINDOW = 4096


class VllmEngine(dg.ConfigurableResource):
    """The local vLLM engine over one checkpoint."""

    model: str
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int = 256
    seed: int = 0

    def resolve(self) -> Model:
        """Gives the checkpoint; raises ``ModelError`` when it is not there."""
        return resolve(self.model, "BONITO_MODEL")

    @contextlib.contextmanager
    def open(self) -> Iterator[VllmSession]:
        """Opens a session; the engine itself starts with the first prompt that needs it."""
        model = self.resolve()
        threads.spare(model)
        session = VllmSession(model, self)
        try:
            yield session
        finally:
            session.close()


class VllmSession:
    """Keeps vLLM's scheduler full from an iterator of requests and hands results out at once."""

    def __init__(self, model: Model, settings: VllmEngine) -> None:
        from transformers import AutoTokenizer

        self._model = model
        self._settings = settings
        self.tokenizer = AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
        self.window = min(model.max_tokens, _WINDOW)
        self._llm: LLM | None = None

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Outcome]:
        """Gives one outcome per request as they finish; a bad prompt never reaches the engine.

        vLLM refuses a whole call for one bad prompt, so each is checked by itself before.
        """
        waiting = iter(requests)
        # Twice what the scheduler runs at once: it never waits for us, and memory stays flat.
        limit = 2 * self._settings.max_num_seqs
        under_way: dict[str, str] = {}
        exhausted = False
        serial = 0
        while True:
            while not exhausted and len(under_way) < limit:
                request = next(waiting, None)
                if request is None:
                    exhausted = True
                    break
                ids = self.token_ids(request.prompt)
                refusal = self.refusal(ids, sampling)
                if refusal is not None:
                    yield Outcome(request.key, rejected_because=refusal, prompt_tokens=len(ids))
                    continue
                # The key may repeat (two passages with one text); the engine needs unique names.
                name = str(serial)
                serial += 1
                under_way[name] = request.key
                self._add(name, ids, sampling)
            if not under_way:
                return
            for output in self.engine().llm_engine.step():
                if output.finished:
                    # vLLM may append a suffix of its own to the name that it was given.
                    yield _outcome(under_way.pop(output.request_id.partition("-")[0]), output)

    @property
    def started(self) -> bool:
        """Tells whether the engine holds memory."""
        return self._llm is not None

    def token_ids(self, prompt: str) -> list[int]:
        """Gives BOS and the prompt's tokens; ``</s>`` in a passage is text and not the end."""
        ids = self.tokenizer(prompt, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        bos = self.tokenizer.bos_token_id
        return ids if bos is None else [bos, *ids]

    def refusal(self, ids: list[int], sampling: Sampling) -> str | None:
        """Gives the verdict on a prompt that the engine must not see, or None."""
        if len(ids) + sampling.max_tokens > self.window:
            return "too_long"
        if self.tokenizer.unk_token_id in ids:
            return "invalid_text"
        return None

    def close(self) -> None:
        """Frees the engine's memory; without an engine it does nothing."""
        if self._llm is not None:
            from vllm.distributed import cleanup_dist_env_and_memory

            self._llm = None
            gc.collect()
            cleanup_dist_env_and_memory()

    def _add(self, name: str, ids: list[int], sampling: Sampling) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            logprobs=0,  # of the drawn token only: what the mean is made of
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self.engine().llm_engine.add_request(name, {"prompt_token_ids": ids}, parameters)

    def engine(self) -> LLM:
        """Gives the engine, started at the first call."""
        if self._llm is None:
            self._llm = _start(self._model.folder, self.window, self._settings)
        return self._llm


def _start(folder: Path, window: int, settings: VllmEngine) -> LLM:
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    from vllm import LLM
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    return LLM(
        model=str(folder),
        max_model_len=window,
        max_num_seqs=settings.max_num_seqs,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        seed=settings.seed,
        # Compiling takes longer than a laptop's whole job; on a card it pays.
        enforce_eager=current_platform.is_cpu(),
        trust_remote_code=False,
        disable_log_stats=True,
    )


def _outcome(key: str, output: Any) -> Outcome:
    completion = output.outputs[0]
    n = len(completion.token_ids)
    return Outcome(
        key=key,
        output=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        output_tokens=n,
        mean_logprob=completion.cumulative_logprob / n if n else None,
    )
