"""An adapter by the recipe of the Bonito card."""

from __future__ import annotations

import pytest

from bonito_assets import settings
from bonito_assets.bonito_training import pairs, qlora
from bonito_assets.generation.prompts import prompt
from bonito_assets.tuning.errors import TuningError
from resources.generator import Request, Sampling
from resources.model import resolve
from resources.vllm_engine import VllmEngine
from tests.tuning.conftest import make_base_model


def test_the_recipe_is_that_of_the_card() -> None:
    settings = qlora.recipe(1_650_000)
    assert (settings.method, settings.lora_r, settings.learning_rate) == ("qlora", 64, 1e-4)
    assert (settings.max_steps, settings.batch_size, settings.max_tokens) == (100_000, 16, 4096)


@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (16, 1), (17, 2), (160_000, 10_000)])
def test_few_pairs_are_seen_once(rows: int, steps: int) -> None:
    assert qlora.recipe(rows).max_steps == steps


def test_a_setting_of_the_recipe_can_be_replaced() -> None:
    settings = qlora.recipe(1_650_000, max_steps=500, method="lora")
    assert (settings.max_steps, settings.method) == (500, "lora")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    make_base_model(folder)
    return resolve(str(folder), "BONITO_BASE_MODEL")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("ctga") / "pairs.parquet"
    pairs.write(path, pairs.build([], 48, seed=0)[0])
    return path


@pytest.fixture(scope="module")
def trained(base, table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    changed = {"max_steps": 3, "method": "lora", "learning_rate": 1e-2, "batch_size": 4}
    record = qlora.train(table, base, folder, folder / "unfinished", print, **changed)
    return folder, record


def test_training_lowers_the_loss_on_pairs_that_it_has_not_seen(trained) -> None:
    _, record = trained
    before, after = record["validation_loss"]
    assert after < before
    assert record["pairs"] == {"rows": 48, "held_out": 12}


def test_the_adapter_can_be_named_as_a_model(trained, base) -> None:
    folder, _ = trained
    model = resolve(str(folder), "BONITO_MODEL", may_be_adapter=True)
    assert (model.folder, model.adapter) == (base.folder, folder)


def test_pairs_that_do_not_fit_are_refused_with_the_remedy(table, base, tmp_path) -> None:
    with pytest.raises(TuningError, match="no pair fits into 32 tokens; raise max_tokens"):
        qlora.train(table, base, tmp_path, tmp_path / "unfinished", print, max_tokens=32)


@pytest.mark.slow
def test_an_adapter_over_a_base_in_4_bits_writes_tasks_in_vllm(table, tmp_path) -> None:
    base = resolve(str(settings.DEMO_BASE_MODEL), "BONITO_BASE_MODEL")
    changed = {"max_steps": 2, "batch_size": 4, "max_tokens": 1024}
    record = qlora.train(table, base, tmp_path, tmp_path / "unfinished", print, **changed)
    assert record["method"] == "qlora"
    engine = VllmEngine(model=str(tmp_path))
    asked = Request("key", prompt("The mill grinds rye.", "exqa"), Sampling(0.0, 1.0, 8))
    with engine.open(print) as session:
        (outcome,) = session.generate([asked])
    assert outcome.output
    assert outcome.rejected_because is None
