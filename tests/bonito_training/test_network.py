"""The tokenizer, the network and a short training of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from bonito_assets.bonito_training import network, pairs, train
from bonito_assets.bonito_training.network import Shape
from bonito_assets.bonito_training.train import Plan
from bonito_assets.generation.prompts import prompt as bonito_prompt

_TINY = Shape(vocabulary=600, width=64, layers=3, inner=96, positions=1024)


@pytest.fixture(scope="module")
def table():
    made = pairs.build([], 400, seed=0)[0]
    return pa.Table.from_pylist([pair._asdict() for pair in made], schema=pairs.SCHEMA)


@pytest.fixture(scope="module")
def tokenizer(table):
    return network.train_tokenizer(
        table["prompt"].to_pylist() + table["completion"].to_pylist(), _TINY.vocabulary
    )


def test_text_comes_back_from_the_tokenizer_with_its_markers(table, tokenizer) -> None:
    for column in ("prompt", "completion"):
        for text in table[column].to_pylist():
            assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=True) == text


def test_any_text_comes_back_from_the_tokenizer(tokenizer) -> None:
    text = 'Zoë said: "Grüß (dich)!"\n\t- 1,234.5 % 漢字 🦉\r\n"two"'
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_a_word_is_the_same_token_after_a_blank_a_quote_and_a_line_break(tokenizer) -> None:
    plain = tokenizer.encode(" The", add_special_tokens=False).tokens
    for opener in ('"', "\n", "("):
        tokens = tokenizer.encode(opener + "The", add_special_tokens=False).tokens
        assert tokens[-len(plain) :] == plain


def test_each_marker_is_one_token(tokenizer) -> None:
    for marker in network.MARKERS:
        assert len(tokenizer.encode(marker, add_special_tokens=False).ids) == 1


def test_the_saved_checkpoint_computes_what_the_trained_network_computed(
    tmp_path: Path, tokenizer
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    net = network.build(_TINY)
    network.start(net, _TINY, seed=1)
    network.save(net, tokenizer, _TINY, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    ids = fast("The heron eats fish.", return_tensors="pt")["input_ids"]
    assert ids[0, 0] == fast.bos_token_id
    with torch.no_grad():
        for weight in net.parameters():  # saved in bfloat16, so rounded in the same way
            weight.copy_(weight.to(torch.bfloat16).float())
        expected = net(ids) @ net.embed_tokens.weight.T
        assert torch.allclose(loaded(ids).logits, expected, atol=1e-3)


def test_the_start_weights_copy_before_any_training(tokenizer) -> None:
    """A repeated random stretch is continued far above chance (1 in 600)."""
    import torch

    shape = Shape(vocabulary=600, positions=512)
    net = network.build(shape)
    network.start(net, shape, seed=0)
    stretch = torch.randint(100, 590, (8, 24), generator=torch.Generator().manual_seed(0))
    ids = torch.cat([stretch, stretch], 1)
    with torch.no_grad():
        guess = (net(ids) @ net.embed_tokens.weight.T).argmax(-1)
    assert (guess[:, 27:-1] == ids[:, 28:]).float().mean() > 0.2


def test_the_induction_circuit_names_the_sizes_it_needs() -> None:
    shape = Shape(heads=8)
    with pytest.raises(ValueError, match="exactly 4 heads"):
        network.start(network.build(shape), shape, seed=0)


def test_twenty_steps_lower_the_loss(table, tokenizer) -> None:
    plan = Plan(batch_tokens=1024, compiled=False, threads=1, learning_rate=3e-3)
    rows = train.tasks(table["prompt"].to_pylist(), table["completion"].to_pylist(), tokenizer, 6.0)
    trainer = train.Trainer(_TINY, plan, log=lambda line: None)
    pad = tokenizer.token_to_id("<pad>")
    ids, weights = next(train.batches(rows[:32], 10**6, pad, random.Random(0)))
    embedding = trainer.network.embed_tokens.weight
    before = train.loss_of(trainer.network, embedding, ids, weights).item()
    phase = trainer.run(rows, steps=20, minutes=5, tokenizer=tokenizer)
    after = train.loss_of(trainer.network, embedding, ids, weights).item()
    assert phase.steps == 20
    assert phase.curve
    assert after < 0.8 * before


def test_the_loss_lies_on_the_completion_and_most_of_it_on_the_answer(tokenizer) -> None:
    prompt, completion = (
        bonito_prompt("The sky is blue.", "ynqa"),
        "{{context}} So?\n<|pipe|>\nYes",
    )
    ids, weights = train.tasks([prompt], [completion], tokenizer, 6.0)[0]
    n = len(tokenizer.encode(prompt).ids)
    assert set(weights[:n]) == {0.0}
    heavy = [i for i, w in zip(ids, weights, strict=True) if w == 6.0]
    assert tokenizer.decode(heavy).strip() == "Yes"
    assert ids[-1] == tokenizer.token_to_id("</s>")
    assert weights[-1] == 6.0


def test_the_word_that_decides_what_is_quoted_weighs_three_times_as_much(tokenizer) -> None:
    ids, weights = train.tasks([""], ['{{context}} Is "The" so?\n<|pipe|>\nNo'], tokenizer, 6.0)[0]
    words = [tokenizer.decode([i]).strip() for i in ids]
    assert weights[words.index("The")] == 3.0
    assert weights[words.index("The") + 1] == 1.0


def test_batches_hold_every_row_once_and_no_more_tokens_than_asked(table, tokenizer) -> None:
    rows = train.tasks(table["prompt"].to_pylist(), table["completion"].to_pylist(), tokenizer, 6.0)
    found = list(train.batches(rows, 2048, tokenizer.token_to_id("<pad>"), random.Random(0)))
    assert sum(len(ids) for ids, _ in found) == len(rows)
    assert all(ids.numel() <= 2048 for ids, _ in found)


def test_the_number_of_parameters_is_counted_right() -> None:
    built = network.build(_TINY)
    assert sum(p.numel() for p in built.parameters()) == network.parameters(_TINY)
    assert json.dumps(network.described(_TINY))
