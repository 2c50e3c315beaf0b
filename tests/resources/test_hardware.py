"""The engine's settings follow from the cards that are there."""

import pytest

from resources.hardware import Card, defaults, find_cards

GIB = 1 << 30
MISTRAL_7B = 14_483_498_240  # bytes in bfloat16
LLAMA_70B = 141_107_412_992

T4 = Card("Tesla T4", 15 * GIB, (7, 5))
RTX_4090 = Card("NVIDIA GeForce RTX 4090", 24 * GIB, (8, 9))
A100 = Card("NVIDIA A100-SXM4-80GB", 80 * GIB, (8, 0))
H100 = Card("NVIDIA H100 80GB HBM3", 80 * GIB, (9, 0))
H200 = Card("NVIDIA H200", 140 * GIB, (9, 0))


def test_a_machine_without_a_card_generates_on_the_cpu_uncompiled():
    assert defaults(MISTRAL_7B, []) == {
        "tensor_parallel_size": 1,
        "dtype": "auto",
        "max_num_seqs": 256,
        "enforce_eager": True,
        "enable_chunked_prefill": False,
    }


@pytest.mark.parametrize(
    ("model_bytes", "cards", "size"),
    [
        (MISTRAL_7B, [H200], 1),
        (MISTRAL_7B, [H200] * 8, 1),  # the others are left to other work
        (MISTRAL_7B, [RTX_4090], 1),
        (MISTRAL_7B, [T4, T4], 2),
        (LLAMA_70B, [H200] * 2, 2),
        (LLAMA_70B, [H100] * 8, 4),
        (MISTRAL_7B, [H100, T4], 2),  # equal parts: the smaller card decides
    ],
)
def test_a_model_is_split_over_as_few_cards_as_hold_it(model_bytes, cards, size):
    assert defaults(model_bytes, cards)["tensor_parallel_size"] == size


@pytest.mark.parametrize(
    ("model_bytes", "cards"),
    [(MISTRAL_7B, [T4]), (LLAMA_70B, [H100] * 3)],  # three cannot share the heads evenly
)
def test_a_model_that_no_split_fits_is_refused_with_a_remedy(model_bytes, cards):
    with pytest.raises(ValueError, match=r"GiB.*use a quantised checkpoint"):
        defaults(model_bytes, cards)


def test_cards_without_bfloat16_compute_in_half_precision():
    assert defaults(1 * GIB, [T4])["dtype"] == "half"
    assert defaults(1 * GIB, [RTX_4090])["dtype"] == "auto"


@pytest.mark.parametrize(
    ("card", "sequences", "batch"),
    [(H200, 1024, 16384), (H100, 1024, 16384), (A100, 256, 8192), (RTX_4090, 256, 8192)],
)
def test_large_cards_run_more_sequences_at_once(card, sequences, batch):
    chosen = defaults(MISTRAL_7B, [card])
    assert (chosen["max_num_seqs"], chosen["max_num_batched_tokens"]) == (sequences, batch)


def test_the_cards_of_this_machine_can_be_asked_for():
    torch = pytest.importorskip("torch")
    assert len(find_cards()) == torch.cuda.device_count()
