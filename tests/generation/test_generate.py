"""Every planned output gets a row; nothing that was generated once is generated again."""

import pyarrow as pa
import pytest

from bonito_assets import tables
from bonito_assets.catalogue import Budget, Corpus
from bonito_assets.generation.bill import Bill
from bonito_assets.generation.generate import generate
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import plan, request_key
from bonito_assets.generation.table import generations
from resources import generation_cache
from resources.generation_cache import GenerationCache
from resources.generator import GeneratorError
from resources.model import Model
from resources.store import Store, digest


def corpus(**changes):
    settings = {"task_types": ["nli", "exqa"], "source": {"files": "x"}, **changes}
    return Corpus(name="c", folder="/", **settings)


def chunks(texts):
    return tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"c{i}", "doc_id": f"d{i}", "position": 0, "start_char": 0,
         "end_char": len(text), "text": text, "n_tokens": 1, "units": ["paragraph"]}
        for i, text in enumerate(texts)
    ])  # fmt: skip


@pytest.fixture
def cache(tmp_path):
    return GenerationCache(Store(root=str(tmp_path)))


def refresh(texts, generator, cache, made=None, log=lambda line: None, run_id="run"):
    made = made or corpus()
    asked = plan(chunks(texts).to_batches, made, generator.resolve())
    bill = Bill(made.budget, generator.price_per_gpu_hour)
    found = cache.find(asked.key_batches())
    done = generate(asked, found, generator, cache, bill, log, run_id=run_id)
    return pa.Table.from_batches(generations(done), tables.GENERATIONS)


def test_there_is_one_row_per_passage_task_type_and_sample(generator, cache):
    table = refresh(["a", "b", "c"], generator, cache, corpus(samples_per_chunk=2))
    rows = [(r["chunk_id"], r["task_type"], r["sample"]) for r in table.to_pylist()]
    assert rows == [
        (f"c{i}", task_type, sample)
        for i in range(3)
        for task_type in ("nli", "exqa")
        for sample in range(2)
    ]


def test_an_unchanged_refresh_asks_for_nothing_and_gives_the_same_rows(generator, cache):
    first = refresh(["a", "b"], generator, cache)
    asked = len(generator.asked)
    second = refresh(["a", "b"], generator, cache)
    assert len(generator.asked) == asked
    assert second == first


def test_a_row_names_the_run_that_paid_for_it_and_not_the_one_that_found_it(generator, cache):
    refresh(["a"], generator, cache, run_id="first")
    table = refresh(["a", "b", "refuse me"], generator, cache, run_id="second")
    runs = dict(zip(table["chunk_id"].to_pylist(), table["run_id"].to_pylist(), strict=True))
    assert runs == {"c0": "first", "c1": "second", "c2": None}


def test_who_paid_does_not_make_it_another_table(generator, tmp_path):
    digests = []
    for run_id in ("first", "second"):
        store = Store(root=str(tmp_path / run_id))
        digests.append(digest(refresh(["a"], generator, GenerationCache(store), run_id=run_id)))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("changes", [
    {}, {"reproducible": True}, {"sampling": {"per_task_type": {"nli": {"temperature": 0.0}}}},
    {"custom_task_types": {"risk": {"instruction": "risk", "labels": ["low", "high"]}},
     "task_types": ["risk"]},
])  # fmt: skip
def test_a_row_and_its_passage_say_all_that_its_key_was_made_of(generator, cache, changes):
    texts = ["a {{context}}", "b"]
    for row in refresh(texts, generator, cache, corpus(**changes)).to_pylist():
        sent = prompt(texts[int(row["chunk_id"][1:])], row["task_name"])
        parts = (sent, row["model_fingerprint"], row["sampling"], row["sample"])
        assert request_key(*parts) == row["request_key"]


def test_a_refresh_asks_only_for_what_changed(generator, cache):
    refresh(["a", "b", "c"], generator, cache)
    generator.asked.clear()
    refresh(["a", "edited", "c"], generator, cache)
    assert len(generator.asked) == 2  # one passage, two task types


def test_a_moved_passage_costs_nothing(generator, cache):
    refresh(["a", "b"], generator, cache)
    generator.asked.clear()
    refresh(["b", "a"], generator, cache)
    assert generator.asked == []


def test_two_passages_of_one_text_share_one_output_but_keep_two_rows(generator, cache):
    table = refresh(["same", "same"], generator, cache, corpus(task_types=["nli"]))
    assert len(generator.asked) == 1
    assert table.num_rows == 2
    assert len(set(table["generation_id"].to_pylist())) == 2


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"sampling": {"temperature": 0.9}}, 2),
        ({"sampling": {"per_task_type": {"nli": {"temperature": 0.9}}}}, 1),
        ({"sampling": {"per_task_type": {"natural language inference": {"max_tokens": 9}}}}, 1),
        ({"samples_per_chunk": 2}, 2),
        ({"task_types": ["nli", "qg"]}, 1),
        ({"reproducible": True}, 2),
        ({"description": "another", "license": "mit", "tuning": {"lora_r": 8}}, 0),
    ],
)
def test_only_what_decides_an_output_makes_it_another_request(generator, cache, changes, more):
    refresh(["a"], generator, cache)
    before = len(generator.asked)
    refresh(["a"], generator, cache, corpus(**changes))
    assert len(generator.asked) - before == more


def test_another_model_is_another_request(tmp_path):
    keys = [
        next(plan(chunks(["a"]).to_batches, corpus(), Model("m", tmp_path, f)).key_batches())
        for f in ("one", "two")
    ]
    assert keys[0] != keys[1]


def test_a_reproducible_corpus_gives_each_request_a_seed_of_its_own(generator, cache):
    refresh(["a", "b"], generator, cache)
    assert generator.seeds == [None] * 4
    generator.seeds.clear()
    refresh(["a", "b"], generator, cache, corpus(reproducible=True, samples_per_chunk=2))
    assert len(set(generator.seeds)) == len(generator.seeds) == 8


def test_a_prompt_that_the_model_must_not_see_keeps_its_row_with_the_reason(generator, cache):
    table = refresh(["a", "refuse me"], generator, cache, corpus(task_types=["nli"]))
    assert table["rejected_because"].to_pylist() == [None, "too_long"]
    assert table["output"].to_pylist()[1] is None


def test_what_the_engine_cannot_answer_keeps_its_row_and_is_not_tried_again(generator, cache):
    first = refresh(["a", "poison"], generator, cache, corpus(task_types=["nli"]))
    assert first["rejected_because"].to_pylist() == [None, "engine_error"]
    lines = []
    second = refresh(["a", "poison"], generator, cache, corpus(task_types=["nli"]), lines.append)
    assert second == first
    assert any("0 to generate" in line for line in lines)


def test_a_crash_loses_only_what_was_in_flight(generator, cache, monkeypatch):
    monkeypatch.setattr(generation_cache, "_MAX_ROWS", 10)
    texts = [f"passage {i}" for i in range(50)]
    generator.dies_after = 35
    with pytest.raises(GeneratorError, match="died"):
        refresh(texts, generator, cache)
    generator.dies_after = None
    generator.asked.clear()
    table = refresh(texts, generator, cache)
    assert len(generator.asked) == 100 - 35
    assert table.num_rows == 100
    assert table["output"].null_count == 0


@pytest.mark.parametrize("budget", [{}, {"tokens": 100_000}])
def test_an_answer_that_never_came_is_an_error_and_not_a_missing_row(
    generator, cache, monkeypatch, budget
):
    whole = generator.generate

    def loses_one(requests):
        outcomes = list(whole(requests))
        canaries = outcomes[0].key.startswith("canary")
        yield from outcomes if canaries else outcomes[1:]

    monkeypatch.setattr(generator, "generate", loses_one)
    with pytest.raises(GeneratorError, match="no answer to 1 requests"):
        refresh(["a", "b"], generator, cache, corpus(budget=budget))


def test_a_cap_in_tokens_stops_in_good_order_and_the_next_refresh_goes_on(generator, cache):
    texts = [f"passage {i}" for i in range(50)]
    capped = corpus(budget={"tokens": 300})  # 15 tokens each: 20 requests
    table = refresh(texts, generator, cache, capped)
    verdicts = table["rejected_because"].to_pylist()
    assert table.num_rows == 100
    assert 20 <= len(generator.asked) <= 20 + generator.window
    assert verdicts.count("over_budget") == 100 - len(generator.asked)
    asked = len(generator.asked)
    table = refresh(texts, generator, cache)
    assert len(generator.asked) == 100
    assert len(set(generator.asked)) == 100
    assert asked < 100
    assert table["output"].null_count == 0


@pytest.mark.parametrize("budget", [{"gpu_seconds": 1e-9}, {"money": 1e-9}])
def test_a_cap_that_is_reached_at_once_generates_next_to_nothing(generator, cache, budget):
    generator.price_per_gpu_hour = 3600
    table = refresh([f"p{i}" for i in range(50)], generator, cache, corpus(budget=budget))
    assert len(generator.asked) <= generator.window
    assert table.num_rows == 100
    assert "over_budget" in table["rejected_because"].to_pylist()


def test_money_is_seconds_times_cards_at_the_price(generator):
    bill = Bill(Budget(), 7.2)
    generator.cards = 4
    with bill.running(generator):
        pass
    assert bill.money == pytest.approx(bill.seconds * 4 / 3600 * 7.2)
    assert bill.gpu_seconds == bill.seconds * 4
