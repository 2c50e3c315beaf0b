"""Every planned output gets a row; nothing that was generated once is generated again."""

import pytest

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.generate import generate
from bonito_assets.generation.requests import generations, plan
from resources import generation_cache
from resources.generation_cache import GenerationCache
from resources.generator import Sampling
from resources.store import Store

SAMPLING = Sampling(0.5, 0.95, 256)


def corpus(**changes):
    settings = {"task_types": ["nli", "exqa"], "source": {"files": "x"}, **changes}
    return Corpus(name="c", folder="/", **settings)


def chunks(texts):
    return tables.build("chunks", [
        {"corpus": "c", "chunk_id": f"c{i}", "doc_id": f"d{i}", "position": 0, "start_char": 0,
         "end_char": len(text), "text": text, "n_tokens": 1}
        for i, text in enumerate(texts)
    ])  # fmt: skip


@pytest.fixture
def cache(tmp_path):
    return GenerationCache(Store(root=str(tmp_path)))


def refresh(texts, generator, cache, made=None):
    made = made or corpus()
    model = generator.resolve()
    planned = plan(chunks(texts), made, model)
    done = generate(planned, generator, cache, SAMPLING, lambda line: None)
    return generations("c", planned, done.outputs, done.refusals, model)


def test_there_is_one_row_per_passage_task_type_and_sample(generator, cache):
    table = refresh(["a", "b", "c"], generator, cache, corpus(samples_per_chunk=2))
    rows = {(r["chunk_id"], r["task_type"], r["sample"]) for r in table.to_pylist()}
    assert table.num_rows == len(rows) == 3 * 2 * 2


def test_an_unchanged_refresh_asks_for_nothing_and_gives_the_same_rows(generator, cache):
    first = refresh(["a", "b"], generator, cache)
    asked = len(generator.asked)
    second = refresh(["a", "b"], generator, cache)
    assert len(generator.asked) == asked
    assert second == first


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
    "changes",
    [{"sampling": {"temperature": 0.9}}, {"samples_per_chunk": 2}, {"task_types": ["nli", "qg"]}],
)
def test_other_sampling_samples_and_tasks_are_other_requests(generator, cache, changes):
    refresh(["a"], generator, cache)
    before = len(generator.asked)
    refresh(["a"], generator, cache, corpus(**changes))
    assert len(generator.asked) > before


def test_another_model_is_another_request():
    from pathlib import Path

    from resources.model import Model

    keys = [
        plan(chunks(["a"]), corpus(), Model("m", Path("m"), fingerprint))[0].request_key
        for fingerprint in ("one", "two")
    ]
    assert keys[0] != keys[1]


def test_a_prompt_that_the_model_must_not_see_keeps_its_row_with_the_reason(generator, cache):
    table = refresh(["a", "refuse me"], generator, cache, corpus(task_types=["nli"]))
    assert table["rejected_because"].to_pylist() == [None, "too_long"]
    assert table["output"].to_pylist()[1] is None


def test_a_crash_loses_only_what_was_in_flight(generator, cache, monkeypatch):
    monkeypatch.setattr(generation_cache, "_MAX_ROWS", 10)
    texts = [f"passage {i}" for i in range(50)]
    generator.dies_after = 35
    with pytest.raises(RuntimeError, match="died"):
        refresh(texts, generator, cache)
    generator.dies_after = None
    generator.asked.clear()
    table = refresh(texts, generator, cache)
    assert len(generator.asked) == 100 - 35
    assert table.num_rows == 100
    assert table["output"].null_count == 0


def test_an_answer_that_never_came_is_an_error_and_not_a_missing_row(generator):
    planned = plan(chunks(["a"]), corpus(), generator.resolve())
    with pytest.raises(ValueError, match="neither output nor reason"):
        generations("c", planned, {}, {}, generator.resolve())
