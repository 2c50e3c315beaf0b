"""From prompt to token ids, or to the reason why the model must not see it.

One bad prompt stops vLLM's whole call, and a token id beyond the model's vocabulary kills the
engine, so every prompt is judged by itself before any backend gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resources.generator import Request, window_of
from resources.model import Model


@dataclass(frozen=True, slots=True)
class Verdict:
    """The token ids of a prompt with its opening mark, or the code of what is wrong with it."""

    ids: list[int]
    rejected_because: str | None = None


class Admission:
    """Judges prompts for one model.

    ``window`` is the largest sum of prompt and output tokens, ``vocabulary`` the number of token
    ids that the model knows.
    """

    def __init__(self, model: Model, window: int | None = None) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
        self.window = window_of(model, window)
        self.vocabulary = model.vocabulary
        self._opening = _opening(self.tokenizer)

    def judge(self, requests: Sequence[Request]) -> list[Verdict]:
        """Gives one verdict per request, in order. Never raises for what a prompt holds."""
        if not requests:
            return []
        ids = self._encode([request.prompt for request in requests])
        return [self._verdict(request, i) for request, i in zip(requests, ids, strict=True)]

    def _encode(self, prompts: list[str]) -> list[list[int] | None]:
        """Gives the token ids of each prompt, None where it is not text that can be encoded."""
        try:
            # `</s>` in a passage is text and not the end.
            return self.tokenizer(
                prompts, add_special_tokens=False, split_special_tokens=True, verbose=False
            )["input_ids"]
        except (TypeError, UnicodeError):  # a lone surrogate somewhere
            if len(prompts) == 1:
                return [None]
            return [self._encode([prompt])[0] for prompt in prompts]

    def _verdict(self, request: Request, ids: list[int] | None) -> Verdict:
        if ids is None:
            return Verdict([], "invalid_text")
        if not ids:
            return Verdict([], "empty")
        whole = [*self._opening, *ids]
        if len(whole) + request.sampling.max_tokens > self.window:
            return Verdict(whole, "too_long")
        # A character that the tokenizer cannot write, a NUL, or a token that was added to the
        # tokenizer and not to the model.
        unknown = self.tokenizer.unk_token_id
        if "\0" in request.prompt or unknown in ids or max(ids) >= self.vocabulary:
            return Verdict(whole, "invalid_text")
        return Verdict(whole)


def _opening(tokenizer: object) -> list[int]:
    """Gives what the tokenizer puts before a text of its own accord: BOS, for Mistral's kind."""
    plain = tokenizer("x", add_special_tokens=False)["input_ids"]
    whole = tokenizer("x")["input_ids"]
    return whole[: whole.index(plain[0])]
