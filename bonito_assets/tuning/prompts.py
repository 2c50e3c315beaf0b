"""The prompt of tuned models, as text and as tokens, and how it is made to fit.

Two forms. ``bonito`` is the prompt of base models in the Bonito paper's training script; ``chat``
is the user's turn in the chat template of a tokenizer that has one. Prompt and answer are
tokenized apart and then joined, in tuning and in evaluation alike, so that no token crosses the
border and the answer begins with the same token in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.model import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT = "<|input|>\n{input}\n<|output|>\n"
_MARKERS = ("<|input|>", "<|output|>")

# Words that no template trims or holds itself; they show where input and answer go.
_INPUT, _ANSWER = "PLACE-OF-THE-INPUT", "PLACE-OF-THE-ANSWER"
# What some templates put in of their own accord: the day of the run (prompts would change with
# it), and an open end for thoughts (no answer of the dataset begins with any).
_FIXED = {"date_string": "26 Jul 2024", "enable_thinking": False}

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
    """Turns an input and an answer into token ids of one tokenizer.

    ``form`` is ``bonito`` or ``chat``; ``auto`` takes the chat template where there is one.
    Raises ``ModelError`` for ``chat`` without a template that can be used.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, form: str = "auto") -> None:
        self._tokenizer = tokenizer
        if form == "auto":
            form = "chat" if tokenizer.chat_template else "bonito"
        self.form = form
        if form == "chat":
            self.frame, self._end = _chat_frame(tokenizer)
        else:
            self.frame, self._end = PROMPT, tokenizer.eos_token_id
        self._before, _, self._after = self.frame.partition("{input}")
        # Text is data: what looks like a control token of the model or a marker of the prompt gets
        # a blank after its first character.
        marks = {*_MARKERS, *(token for token in _control_tokens(tokenizer) if len(token) > 1)}
        self._marker = re.compile("|".join(re.escape(mark) for mark in sorted(marks)))

    def prompt(self, text: str) -> list[int]:
        """Gives the tokens of the prompt around `text`, with its start token if it has one."""
        whole = self._before + self._plain(text) + self._after
        # A chat template writes its start token itself.
        ids = self._tokenizer(whole, add_special_tokens=self.form == "bonito")["input_ids"]
        return ids[:-1] if self.form == "bonito" and ids[-1] == self.end else ids

    def answer(self, text: str) -> list[int]:
        """Gives the tokens of an answer, which ends with the end token."""
        ids = self._tokenizer(self._plain(text), add_special_tokens=False)["input_ids"]
        return [*ids, self.end]

    def pair(self, prompt: str, completion: str) -> tuple[list[int], list[int]]:
        """Gives the tokens of a prompt that is whole already, and of what follows it."""
        ids = self._tokenizer(self._neutral(prompt))["input_ids"]
        return ids[:-1] if ids[-1] == self.end else ids, self.answer(completion)

    def passage(self, text: str) -> list[int]:
        """Gives the tokens of a text by itself, from its start token to the model's end token."""
        ids = self._tokenizer(self._plain(text))["input_ids"]
        eos = self._tokenizer.eos_token_id
        return ids if ids[-1:] == [eos] else [*ids, eos]

    @property
    def end(self) -> int:
        """Gives the id of the token that ends every answer."""
        return self._end

    def text(self, ids: list[int]) -> str:
        """Gives the text of generated `ids`."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def fit(self, text: str, passage: str, answer_tokens: int, budget: int) -> Fitted | None:
        """Gives `text` with its passage cut so that prompt and answer take at most `budget` tokens.

        None when that cannot be, as in ``fit``.
        """
        return fit(text, passage, lambda t: len(self.prompt(t)) + answer_tokens, budget)

    def _plain(self, text: str) -> str:
        return self._neutral(text.strip())

    def _neutral(self, text: str) -> str:
        return self._marker.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)


def _chat_frame(tokenizer: PreTrainedTokenizerBase) -> tuple[str, int]:
    """Gives the text around an input, as ``..{input}..``, and the token that ends an answer."""
    asked = {"role": "user", "content": _INPUT}
    said = {"role": "assistant", "content": _ANSWER}
    if not tokenizer.chat_template:
        raise ModelError(
            "tuning.prompt is 'chat' and the base model's tokenizer has no chat template; set it "
            "to 'auto' or 'bonito'"
        )
    prompt = tokenizer.apply_chat_template(
        [asked], tokenize=False, add_generation_prompt=True, **_FIXED
    )
    whole = tokenizer.apply_chat_template([asked, said], tokenize=False, **_FIXED)
    if prompt.count(_INPUT) != 1 or whole.count(_ANSWER) != 1:
        raise ModelError(
            "the chat template of the base model does not show a message exactly once; set "
            "tuning.prompt to 'bonito'"
        )
    # The token that closes a turn is not always eos_token: Gemma's is <end_of_turn>.
    closing = tokenizer(whole.partition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    control = set(tokenizer.convert_tokens_to_ids(_control_tokens(tokenizer)))
    end = next((token for token in closing if token in control), tokenizer.eos_token_id)
    return prompt.replace(_INPUT, "{input}"), end


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Gives the tokens that steer the model, those that only its chat template uses included."""
    added = (token for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*tokenizer.all_special_tokens, *(token.content for token in added)})
