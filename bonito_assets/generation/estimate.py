"""What a refresh will cost, told before the first token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bonito_assets.generation.bill import Bill, Rate
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import Plan
from resources.generation_cache import Found
from resources.threads import weight_bytes

CountTokens = Callable[[Sequence[str]], list[int]]

# Output tokens where a model has no history yet. A large one: what is assumed of Bonito's 7B, of
# which no figure is published. A small one: a line through four corpora of the demonstration
# model, which rambles over passages longer than those it was trained on (39 tokens at 68 tokens
# of passage, 68 at 460, 79 at 475; extractive questions 111 at 290, which is off the line).
_TYPICAL_TOKENS = 150.0
_SMALL_BYTES = 1 << 30
_TYPICAL_TOKENS_SMALL, _PER_PASSAGE_TOKEN_SMALL = 34.0, 0.1
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

    def scaled(self, factor: float) -> Estimate:
        """Gives the estimate for `factor` times as many passages."""
        times = {
            name: round(getattr(self, name) * factor)
            for name in ("due", "cached", "to_generate", "prompt_tokens", "output_tokens")
        }
        seconds = None if self.gpu_seconds is None else self.gpu_seconds * factor
        money = None if self.money is None else self.money * factor
        return replace(self, **times, gpu_seconds=seconds, money=money)

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
        [prompt("", plan.corpus.full_name(task_type)) for task_type in plan.corpus.task_types]
    ), strict=True))  # fmt: skip
    base, slope = _TYPICAL_TOKENS, 0.0
    if weight_bytes(plan.model.folder) < _SMALL_BYTES:
        base, slope = _TYPICAL_TOKENS_SMALL, _PER_PASSAGE_TOKEN_SMALL
    known = {t: mean for t, (n, mean) in lengths.items() if n >= _ENOUGH}
    caps = {t: plan.corpus.sampling.of(t).max_tokens for t in plan.corpus.task_types}
    requests = prompt_tokens = 0
    output_tokens = 0.0
    for entry, missing in zip(plan, found.missing, strict=True):
        if missing:
            requests += 1
            prompt_tokens += entry.passage_tokens + frames[entry.task_type] + 1  # BOS
            expected = known.get(entry.task_type, base + slope * entry.passage_tokens)
            output_tokens += min(expected, caps[entry.task_type])
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
        from_history=known.keys() >= caps.keys(),
        gpu_seconds=seconds,
        money=None if seconds is None else seconds / 3600 * bill.price_per_gpu_hour,
    )
