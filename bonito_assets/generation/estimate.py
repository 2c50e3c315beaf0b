"""What a refresh will cost, told before the first token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bonito_assets.generation.bill import Bill, Rate
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import Plan
from resources.generation_cache import Found
from resources.threads import weight_bytes

CountTokens = Callable[[Sequence[str]], list[int]]

# Mean output tokens where a model has no history yet. A small checkpoint: 684 outputs of the
# demonstration model, 35 (summaries) to 48 (extractive questions). A large one: what is assumed of
# Bonito's 7B, which nobody has published.
_TYPICAL_TOKENS_SMALL, _TYPICAL_TOKENS = 40, 150
_SMALL_BYTES = 1 << 30
# Fewer outputs than this say too little about the lengths of a type.
_ENOUGH = 30


@dataclass(frozen=True)
class Estimate:
    """Requests, tokens and, where this model has run here before, seconds and money."""

    due: int
    cached: int
    to_generate: int
    prompt_tokens: int
    output_tokens: int
    from_history: bool
    gpu_seconds: float | None
    money: float | None

    def sentence(self) -> str:
        """Gives the estimate for people."""
        text = f"estimate: {self.to_generate:,} of {self.due:,} outputs to generate"
        if not self.to_generate:
            return text
        basis = "earlier outputs of this model" if self.from_history else "typical lengths"
        text += (
            f", about {self.prompt_tokens:,} prompt and {self.output_tokens:,} output tokens "
            f"(by {basis})"
        )
        if self.gpu_seconds is None:
            return f"{text}; how long that takes is known after this model's first refresh here"
        text += f", about {self.gpu_seconds:,.0f} GPU seconds"
        return f"{text}, {self.money:,.2f} at the set price" if self.money else text


def estimate(
    plan: Plan,
    found: Found,
    lengths: Mapping[str, tuple[int, float]],
    rate: Rate | None,
    bill: Bill,
    count_tokens: CountTokens,
) -> Estimate:
    """Gives the cost of what is missing of `plan`.

    `lengths` are number and mean tokens of earlier outputs of the model per task type. Prompt
    tokens are those of the passage and of the frame around it.
    """
    frames = dict(zip(plan.corpus.task_types, count_tokens(
        [prompt("", task_type) for task_type in plan.corpus.task_types]
    ), strict=True))  # fmt: skip
    small = weight_bytes(plan.model.folder) < _SMALL_BYTES
    assumed = _TYPICAL_TOKENS_SMALL if small else _TYPICAL_TOKENS
    typical = {}
    for task_type in plan.corpus.task_types:
        n, mean = lengths.get(task_type, (0, 0.0))
        cap = plan.corpus.sampling.of(task_type).max_tokens
        typical[task_type] = min(mean if n >= _ENOUGH else assumed, cap)
    requests = prompt_tokens = 0
    output_tokens = 0.0
    for entry, missing in zip(plan, found.missing, strict=True):
        if missing:
            requests += 1
            prompt_tokens += entry.passage_tokens + frames[entry.task_type] + 1  # BOS
            output_tokens += typical[entry.task_type]
    seconds = None
    if rate is not None and requests:
        work = (prompt_tokens + output_tokens) / rate.tokens_per_gpu_second
        seconds = rate.start_gpu_seconds + work
    return Estimate(
        due=len(plan),
        cached=int(found.present.sum()),
        to_generate=requests,
        prompt_tokens=prompt_tokens,
        output_tokens=round(output_tokens),
        from_history=all(lengths.get(t, (0, 0.0))[0] >= _ENOUGH for t in plan.corpus.task_types),
        gpu_seconds=seconds,
        money=None if seconds is None else seconds / 3600 * bill.price_per_gpu_hour,
    )
