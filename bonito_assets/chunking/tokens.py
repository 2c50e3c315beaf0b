"""Counts tokens as the Bonito model counts them, and what its window leaves for a passage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bonito_assets.chunking.passages import CountTokens
from bonito_assets.generation.prompts import neutralise, prompt
from resources.model import Model

# The end of the frame before a passage and the beginning of the one after it. Tokens may reach over
# both seams, so a passage is counted between them.
_BEFORE, _AFTER = prompt("\0", "nli").split("\n", 2)[2].split("\0")
# One call of the tokenizer holds about 100 bytes per character.
_CHARS_AT_ONCE = 1 << 20


def token_counter(model: Model) -> CountTokens:
    """Gives a function from texts to their lengths in tokens of `model`, without special ones.

    As in a prompt, `</s>` in a text is text and not the end.
    """
    file = model.folder / "tokenizer.json"
    if file.exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
        # Tokenizers are saved with whatever padding and cut they were last used with.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True

        def count_tokens(texts: Sequence[str]) -> list[int]:
            # Licences, headers and footers recur, and cuts by content make them recur whole.
            lengths = dict.fromkeys(texts, 0)
            for some in _portions(lengths):
                encodings = tokenizer.encode_batch_fast(some, add_special_tokens=False)
                lengths.update(zip(some, map(len, encodings), strict=True))
            return [lengths[text] for text in texts]

        return count_tokens
    # An older checkpoint has only the SentencePiece model, which needs a conversion of seconds.
    from transformers import AutoTokenizer

    slow = AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
    options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
    return lambda texts: [len(slow(text, **options)["input_ids"]) for text in texts]


def passage_counter(count_tokens: CountTokens) -> CountTokens:
    """Gives a function from passages to the tokens that each adds to a prompt.

    `count_tokens` counts plain texts. The prompt of a passage has exactly as many tokens as that of
    no passage, ``prompt("", task_type)``, and these.
    """
    empty = count_tokens([_BEFORE + _AFTER])[0]
    return lambda texts: [
        n_tokens - empty
        for n_tokens in count_tokens(
            [_BEFORE + neutralise(text.strip()) + _AFTER for text in texts]
        )
    ]


def token_budget(window: int, frame_tokens: int, answer_tokens: int) -> int:
    """Gives the most tokens that a passage may add to a prompt.

    `window` is the model's, prompt and answer together; `frame_tokens` are those of the prompt of
    no passage with its opening mark, `answer_tokens` the most that may be written.
    Raises ``ValueError`` when nothing is left.
    """
    left = window - frame_tokens - answer_tokens
    if left < 1:
        raise ValueError(
            f"of the model's window of {window:,} tokens, a prompt takes {frame_tokens:,} and an "
            f"answer up to {answer_tokens:,}, which leaves none for a passage; lower "
            "sampling.max_tokens"
        )
    return left


def _portions(texts: Iterable[str]) -> Iterator[list[str]]:
    """Gives `texts` in lists of about a megabyte."""
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= _CHARS_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some
