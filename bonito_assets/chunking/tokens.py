"""Counts tokens as the Bonito model counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resources.model import Model


def token_counter(model: Model) -> Callable[[Sequence[str]], list[int]]:
    """Gives a function from texts to their lengths in tokens of `model`, without special ones."""
    file = model.folder / "tokenizer.json"
    if file.exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
        # Tokenizers are saved with whatever padding and cut they were last used with.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return lambda texts: [
            len(encoding.ids)
            for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
    # An older checkpoint has only the SentencePiece model, which needs a conversion of seconds.
    from transformers import AutoTokenizer

    slow = AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
    return lambda texts: [
        len(slow(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in texts
    ]
