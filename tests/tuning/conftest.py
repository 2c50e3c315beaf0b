from __future__ import annotations

import pytest

WORDS = (
    "the river rises in spring and floods meadows yes no maybe Entailment Contradiction "
    "NotMentioned who what is it stork heron 1976 gravel a of to in or : . , ? '"
)


def make_base_model(folder, seed=0):
    """Saves a random Mistral of some thousand parameters with a byte-level BPE of its own."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [WORDS] * 4,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<unk>", "<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    MistralForCausalLM(
        MistralConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,  # vLLM's CPU kernels start at 32 per head
            num_key_value_heads=1,
            max_position_embeddings=512,
            sliding_window=None,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    from resources.model import resolve

    folder = make_base_model(tmp_path_factory.mktemp("base"))
    return resolve(str(folder), "BONITO_BASE_MODEL")


@pytest.fixture(scope="session")
def tokenizer(base):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.folder)


@pytest.fixture(scope="session")
def encoder(tokenizer):
    from bonito_assets.tuning.prompts import Encoder

    return Encoder(tokenizer)
