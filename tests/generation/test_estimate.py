"""What a refresh will cost is told before the first token, and the bill says what it did cost."""

from datetime import UTC, datetime

import pytest

from bonito_assets import tables
from bonito_assets.catalogue import Budget, Corpus
from bonito_assets.generation import bill as bills
from bonito_assets.generation.bill import Bill, Rate
from bonito_assets.generation.estimate import estimate
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import plan
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.model import Model
from resources.store import Store

PASSAGES = ["one two three", "four five", "six"]


def words(texts):
    return [len(text.split()) for text in texts]


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path))


@pytest.fixture
def asked(tmp_path):
    rows = tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"c{i}", "doc_id": "d", "position": i, "start_char": 0,
         "end_char": 1, "text": text, "n_tokens": len(text.split()), "units": ["paragraph"]}
        for i, text in enumerate(PASSAGES)
    ])  # fmt: skip
    corpus = Corpus(
        name="c", folder="/", source={"files": "x"}, task_types=["nli", "exqa"],
        sampling={"per_task_type": {"exqa": {"max_tokens": 5}}},
    )  # fmt: skip
    return plan(rows.to_batches, corpus, Model("m", tmp_path, "f" * 64))


def foresee(asked, store, lengths=None, rate=None, price=0.0):
    found = GenerationCache(store).find(asked.key_batches())
    return estimate(asked, found, lengths or {}, rate, Bill(Budget(), price), words)


def test_prompt_tokens_are_those_of_the_passages_and_their_frames(asked, store):
    frames = words([prompt("", "nli"), prompt("", "exqa")])
    made = foresee(asked, store)
    assert made.prompt_tokens == 2 * 6 + 3 * sum(frames) + 6 * 1  # and a BOS each


def test_output_tokens_follow_earlier_outputs_of_the_model_up_to_the_limit(asked, store):
    made = foresee(asked, store, lengths={"nli": (1000, 20.0), "exqa": (1000, 20.0)})
    assert made.output_tokens == 3 * 20 + 3 * 5
    assert made.from_history
    assert not foresee(asked, store, lengths={"nli": (1000, 20.0)}).from_history


def test_what_is_cached_costs_nothing(asked, store):
    cache = GenerationCache(store)
    with cache.writer() as writer:
        for keys in asked.key_batches():
            for key in keys:
                writer.add(Outcome(key, "o", "stop", 1, 1, -1.0), model="f", task_type="nli")
    made = foresee(asked, store, rate=Rate(1.0, 60.0))
    assert (made.to_generate, made.prompt_tokens, made.output_tokens) == (0, 0, 0)
    assert made.gpu_seconds is None
    assert made.sentence() == "estimate: 0 of 6 outputs to generate"


def test_seconds_and_money_follow_earlier_bills_of_the_model(asked, store):
    made = foresee(asked, store, {"nli": (99, 10), "exqa": (99, 4)}, Rate(2.0, 60.0), price=36.0)
    tokens = made.prompt_tokens + 3 * 10 + 3 * 4
    assert made.gpu_seconds == pytest.approx(60 + tokens / 2)
    assert made.money == pytest.approx(made.gpu_seconds / 100)
    assert "at the set price" in made.sentence()


def test_without_an_earlier_bill_no_time_is_made_up(asked, store):
    assert "known after" in foresee(asked, store).sentence()
    assert bills.rate(store, asked.model) is None


def test_a_bill_that_was_written_down_gives_the_rate(asked, store):
    bill = Bill(Budget(), 3.6)
    for _ in range(40):
        bill.add(Outcome("k", "o", "stop", 100, 50, -1.0), kept=True)
    bill.start_seconds = 10.0
    bill._seconds_before = 40.0
    bill._session = type("Two", (), {"cards": 2})()
    bills.write_down(store, "c", "run", asked.model, bill)
    row = store.read(bills.TABLE, "c").to_pylist()[0]
    assert row["gpu_seconds"] == 80
    assert row["money"] == pytest.approx(0.08)
    assert row["created_at"] <= datetime.now(UTC)
    rate = bills.rate(store, asked.model)
    assert rate.tokens_per_gpu_second == pytest.approx(40 * 150 / (80 - 20))
    assert rate.start_gpu_seconds == 20


def test_a_refresh_that_generated_nothing_leaves_no_bill(asked, store):
    bills.write_down(store, "c", "run", asked.model, Bill(Budget(), 0))
    assert not store.exists(bills.TABLE, "c")
