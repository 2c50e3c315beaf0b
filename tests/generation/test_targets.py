"""A corpus may ask for rows to be kept, and gets as many outputs as that takes."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.bill import Bill
from bonito_assets.generation.generate import generate
from bonito_assets.generation.requests import plan
from bonito_assets.generation.table import generations
from bonito_assets.generation.targets import kept, next_amounts, widen
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.store import Store


def corpus(wanted, ceiling=10, **changes):
    settings = {"task_types": ["nli", "exqa"], "source": {"files": "x"}, **changes}
    # What the fake generator writes has the form of a task and no more.
    settings["parsing"] = {"mode": "upstream"}
    return Corpus(
        name="c",
        folder="/",
        accepted_per_task_type=wanted,
        max_samples_per_chunk=ceiling,
        **settings,
    )


def chunk(i, text):
    return {
        "corpus": "c", "chunk_id": f"c{i}", "doc_id": f"d{i}", "position": 0, "start_char": 0,
        "end_char": len(text), "text": text, "n_tokens": 1, "units": ["paragraph"],
    }  # fmt: skip


@given(
    amounts=st.integers(1, 1000),
    share=st.floats(0, 1),
    wanted=st.integers(1, 5000),
    passages=st.integers(1, 500),
)
def test_amounts_only_grow_and_never_beyond_the_ceiling(amounts, share, wanted, passages):
    made = corpus(wanted, ceiling=5)
    before = {"nli": min(amounts, passages * 5)}
    after = next_amounts(before, {"nli": int(before["nli"] * share)}, made, lambda _type: passages)
    assert before["nli"] <= after["nli"] <= passages * 5


def test_a_type_that_has_enough_is_not_asked_for_more():
    amounts = {"nli": 100, "exqa": 100}
    after = next_amounts(amounts, {"nli": 80, "exqa": 40}, corpus(80), lambda _type: 1000)
    assert after["nli"] == 100
    assert after["exqa"] == 100 + 105  # 40 short at a kept rate of 0.4, and 5%


@pytest.fixture
def store(tmp_path):
    store = Store(root=str(tmp_path))
    table = tables.build("chunks", [chunk(i, f"passage {i}") for i in range(40)])
    store.write("chunks", "c", table)
    return store


def refresh(store, generator, made):
    lines = []
    asked = plan(lambda: store.batches("chunks", "c"), made, generator.resolve())
    cache = GenerationCache(store)
    bill = Bill(made.budget, 0)
    done = generate(
        asked, cache.find(asked.key_batches()), generator, cache, bill, lines.append,
        widen(store, made, lines.append),
    )  # fmt: skip
    return done, lines


def test_rounds_go_on_until_enough_is_kept_downstream(store, generator, monkeypatch):
    answer = generator._answer

    def often_useless(request):
        # Two of three outputs lack the mark between question and answer.
        outcome = answer(request)
        useless = int(request.key[:4], 16) % 3 if request.key[0] != "c" else 0
        return outcome if not useless else Outcome(request.key, "no mark", "stop", 10, 5, -0.5)

    monkeypatch.setattr(generator, "_answer", often_useless)
    done, _ = refresh(store, generator, corpus(30))
    rows = pa.Table.from_batches(generations(done), tables.GENERATIONS)
    counts = kept(corpus(30), rows, store.read("chunks", "c"))
    assert all(30 <= counts[t] <= 45 for t in ("nli", "exqa"))
    assert rows.num_rows == len(done.plan) < 400


def test_the_same_target_again_generates_nothing(store, generator):
    first, _ = refresh(store, generator, corpus(60))
    asked = len(generator.asked)
    second, _ = refresh(store, generator, corpus(60))
    assert len(generator.asked) == asked
    assert second.plan.amounts == first.plan.amounts


def test_a_target_that_cannot_be_reached_stops_at_its_ceiling_and_says_so(store, generator):
    done, lines = refresh(store, generator, corpus(10_000, ceiling=2))
    assert done.plan.amounts == {"nli": 80, "exqa": 80}
    assert any("ceiling" in line for line in lines)


def test_outputs_are_spread_over_the_passages(store, generator):
    done, _ = refresh(store, generator, corpus(10))
    chosen = {entry.chunk_id for entry in done.plan if entry.task_type == "nli"}
    assert len(chosen) == 10
    assert chosen != {f"c{i}" for i in range(10)}
