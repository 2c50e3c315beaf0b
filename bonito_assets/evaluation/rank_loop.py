"""vLLM as a scorer of given answers, in the process that ``resources.engine_process`` guards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resources.engine_loop import EngineLoop

# What the engine's process runs, as ``module:name``.
RANK_LOOP = f"{__name__}:RankLoop"
# The arguments of ``RankLoop.add``, as they travel to it.
Entry = tuple[str, list[int], int, int, int | None, str | None]

# The ranks of LoRA adapters that vLLM has room for are powers of two from 8.
_LEAST_RANK = 8


class RankLoop(EngineLoop):
    """An engine that adds up log-probabilities of prompts' ends, or writes greedily."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._scored: dict[str, int] = {}
        self._adapters: dict[str, int] = {}

    def add(
        self,
        name: str,
        ids: list[int],
        scored: int,
        most_tokens: int,
        end: int | None,
        adapter: str | None,
    ) -> None:
        """Puts one request into the queue, through the LoRA `adapter` in that folder if any.

        With `scored` above 0 its outcome is the sum of the natural log-probabilities of the last
        so many of `ids`; else the most likely next tokens, at most `most_tokens`, up to `end`.
        """
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=0,
            max_tokens=most_tokens,
            prompt_logprobs=0 if scored else None,  # of the prompt's own tokens alone
            ignore_eos=True,  # the answer ends at `end`, which may be another token
            stop_token_ids=None if end is None else [end],
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        request = None
        if adapter is not None:
            number = self._adapters.setdefault(adapter, len(self._adapters) + 1)
            request = LoRARequest(adapter, number, adapter)
        self._scored[name] = scored
        self._engine.add_request(name, {"prompt_token_ids": ids}, parameters, lora_request=request)

    def step(self) -> list[tuple[str, float | list[int]]]:
        """Lets the engine take one step; gives name and outcome of what finished by it."""
        return [self._outcome(output) for output in self._engine.step() if output.finished]

    def _outcome(self, output: Any) -> tuple[str, float | list[int]]:
        name = output.request_id
        scored = self._scored.pop(name)
        if not scored:
            completion = output.outputs[0]
            tokens = list(completion.token_ids)
            return name, tokens[:-1] if completion.stop_reason is not None else tokens
        end = range(len(output.prompt_token_ids) - scored, len(output.prompt_token_ids))
        ids, scores = output.prompt_token_ids, output.prompt_logprobs
        return name, sum(scores[place][ids[place]].logprob for place in end)


def adapter_arguments(adapters: Iterable[Path]) -> dict[str, Any]:
    """Gives the arguments of vLLM that make room for LoRA `adapters`; none for none."""
    ranks = [
        json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"]
        for adapter in adapters
    ]
    if not ranks:
        return {}
    room = max(_LEAST_RANK, 1 << (max(ranks) - 1).bit_length())
    return {"enable_lora": True, "max_loras": len(ranks), "max_lora_rank": room}
