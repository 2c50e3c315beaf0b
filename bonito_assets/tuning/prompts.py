"""The prompt of tuned models, as text and as tokens, and how it is made to fit.

Format: the prompt of base models in the Bonito paper's training script. Prompt and answer are
tokenized apart and then joined, in tuning and in evaluation alike, so that no token crosses the
border and the answer begins with the same token in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT = "<|input|>\n{input}\n<|output|>\n"
_MARKERS = ("<|input|>", "<|output|>")

# A cut falls at the end of a word; text without blanks (Chinese, say) is cut every 20 characters.
_PIECE = re.compile(r"\S{1,20}")

# The value of a label that carries no loss, as torch's cross entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Fitted:
    """An input that fits, and how many characters of its passage that cost."""

    text: str
    removed_chars: int


def fit(text: str, passage: str, size: Callable[[str], int], budget: int) -> Fitted | None:
    """Gives `text` with the end of `passage` cut so that ``size(text)`` is at most `budget`.

    Only the first place where `passage` stands in `text` is shortened: what stands around it (the
    question) is never touched. Gives None when even a single word of the passage is too much, or
    when the passage does not stand in `text`.
    """
    if size(text) <= budget:
        return Fitted(text, 0)
    passage = passage.strip()
    before, found, after = text.partition(passage) if passage else (text, "", "")
    ends = [piece.end() for piece in _PIECE.finditer(passage)] if found else []

    def shortened(pieces: int) -> str:
        return before + passage[: ends[pieces - 1]] + after

    # Galloping, then bisection: texts much longer than the budget are never tokenized whole twice.
    fits, too_many = 0, 1
    while too_many < len(ends) and size(shortened(too_many)) <= budget:
        fits, too_many = too_many, 2 * too_many
    too_many = min(too_many, len(ends))
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if size(shortened(middle)) <= budget:
            fits = middle
        else:
            too_many = middle
    return Fitted(shortened(fits), len(passage) - ends[fits - 1]) if fits else None


class Encoder:
    """Turns an input and an answer into token ids of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Text is data: what looks like a control token of the model or a marker of the prompt gets
        # a blank after its first character.
        markers = {*_MARKERS, *(token for token in tokenizer.all_special_tokens if len(token) > 1)}
        self._marker = re.compile("|".join(re.escape(marker) for marker in sorted(markers)))

    def prompt(self, text: str) -> list[int]:
        """Gives the tokens of the prompt around `text`, with the tokenizer's own start token."""
        ids = self._tokenizer(PROMPT.format(input=self._plain(text)))["input_ids"]
        return ids[:-1] if ids[-1] == self.end else ids

    def answer(self, text: str) -> list[int]:
        """Gives the tokens of an answer, which ends with the end token."""
        ids = self._tokenizer(self._plain(text), add_special_tokens=False)["input_ids"]
        return [*ids, self.end]

    @property
    def end(self) -> int:
        """Gives the id of the token that ends every answer."""
        return self._tokenizer.eos_token_id

    def text(self, ids: list[int]) -> str:
        """Gives the text of generated `ids`."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def fit(self, text: str, passage: str, answer_tokens: int, budget: int) -> Fitted | None:
        """Gives `text` with its passage cut so that prompt and answer take at most `budget` tokens.

        None when that cannot be, as in ``fit``.
        """
        return fit(text, passage, lambda t: len(self.prompt(t)) + answer_tokens, budget)

    def _plain(self, text: str) -> str:
        return self._marker.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text.strip())
