"""Two tokenizers of the kinds in use: byte-level BPE, and SentencePiece with byte fallback."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bonito_assets.chunking.tokens import token_counter

_LINES = [
    "the heron stood by the river and the river rose over the wall",
    "a court may grant a loan when both parties have signed in person",
    "Der Reiher steht am Fluss. Das Wasser steigt, und niemand geht.",
    "<|tasktype|>\nnatural language inference\n<|context|>\nwords\n<|task|>\n",
] * 20


def _byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    return tokenizer


def _byte_fallback():
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    learner.train_from_iterator([line.replace("\n", " ") for line in _LINES], trainer)
    learned = json.loads(learner.to_str())["model"]
    vocab = learned["vocab"]
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    merges = [tuple(merge) for merge in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


@pytest.fixture(
    scope="session", params=[_byte_level, _byte_fallback], ids=lambda make: make.__name__
)
def count_tokens(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    request.param().save(str(folder / "tokenizer.json"))

    class Model:
        pass

    model = Model()
    model.folder = folder
    return token_counter(model)
