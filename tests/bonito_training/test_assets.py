"""The two assets, from nothing to two checkpoints that load."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from bonito_assets.bonito_training.assets import (
    CheckpointConfig,
    bonito_checkpoint,
    ctga,
    settings,
)
from bonito_assets.tuning.base_model import BaseModel
from resources.model import resolve
from resources.store import Store
from tests.tuning.conftest import make_base_model


def _materialize(root: Path, **config: dict) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [ctga, bonito_checkpoint],
        resources={
            "store": Store(root=str(root)),
            "base_model": BaseModel(name=str(root / "base-model")),
        },
        run_config={"ops": {name: {"config": values} for name, values in config.items()}},
        raise_on_error=False,
    )


def test_the_recipe_runs_offline_without_sources_and_leaves_two_checkpoints(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    outcome = _materialize(
        tmp_path,
        ctga={"pairs": 800},
        bonito_checkpoint={"base_steps": 3, "bonito_steps": 3, "threads": 1},
    )
    assert outcome.success
    assert pq.read_table(tmp_path / "ctga" / "pairs.parquet").num_rows == 800
    for name in ("base", "bonito"):
        folder = tmp_path / "bonito_checkpoint" / name
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert model.config.architectures == ["MistralForCausalLM"]
        assert AutoTokenizer.from_pretrained(folder).is_fast
        assert (folder / "README.md").read_text().startswith("---\nlanguage: en\n")
        record = json.loads((folder / "training.json").read_text())
        assert record["bonito"]["steps"] == 3
        assert record["sources"][0]["license"] == "cc0-1.0"
    metadata = outcome.asset_materializations_for_node("bonito_checkpoint")[0].metadata
    assert "data:image/png;base64" in metadata["loss curve"].value


def _annotated(folder: Path) -> dict:
    rows = [
        {
            "context": f"The mill on the Arl has {n} stones and grinds rye.",
            "question": f"does the mill have {n + n % 2} stones",
            "label": n % 2 == 0,
        }
        for n in range(30)
    ]
    rows.append({"context": "", "question": "is it empty", "label": True})
    path = folder / "mills.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return {"path": str(path), "form": "boolq", "license": "cc0-1.0"}


def test_pairs_come_from_annotated_data_sets_and_the_count_of_each_is_told(tmp_path: Path) -> None:
    outcome = _materialize(tmp_path, ctga={"annotated": [_annotated(tmp_path)], "pairs": 10})
    table = pq.read_table(tmp_path / "ctga" / "pairs.parquet")
    assert Counter(table["source"].to_pylist()) == {
        "grammar": 10,
        f"{tmp_path / 'mills.jsonl'}/train": 30,
    }
    ruled = [source == "grammar" for source in table["source"].to_pylist()]
    assert [template is None for template in table["template"].to_pylist()] == ruled
    told = json.loads((tmp_path / "ctga" / "sources.json").read_text())[1]
    assert (told["passages"], told["pairs"], told["left out"]) == (31, 30, "empty 1")
    (event,) = outcome.asset_materializations_for_node("ctga")
    assert event.metadata["dagster/row_count"].value == 40


def test_annotated_data_sets_alone_make_pairs_and_none_are_made_by_rule(tmp_path: Path) -> None:
    _materialize(tmp_path, ctga={"annotated": [_annotated(tmp_path)]})
    table = pq.read_table(tmp_path / "ctga" / "pairs.parquet")
    assert set(table["task_type"].to_pylist()) == {"ynqa"}
    assert table.num_rows == 30


def test_data_sets_that_give_no_pair_leave_the_last_pairs_where_they_are(tmp_path: Path) -> None:
    _materialize(tmp_path, ctga={"pairs": 20})
    (tmp_path / "none.jsonl").write_text('{"context": "", "question": "x", "label": 1}')
    nothing = {"path": str(tmp_path / "none.jsonl"), "form": "boolq", "license": "cc0-1.0"}
    outcome = _materialize(tmp_path, ctga={"annotated": [nothing]})
    assert "no row of the sources made a pair" in str(outcome.failure_data_for_node("ctga"))
    assert pq.read_table(tmp_path / "ctga" / "pairs.parquet").num_rows == 20


def test_an_adapter_over_a_base_model_is_published_where_bonito_model_finds_it(
    tmp_path: Path,
) -> None:
    make_base_model(tmp_path / "base-model")
    config = {"method": "qlora", "tuning": {"method": "lora", "batch_size": 4}}
    outcome = _materialize(
        tmp_path, ctga={"annotated": [_annotated(tmp_path)]}, bonito_checkpoint=config
    )
    assert outcome.success
    folder = tmp_path / "bonito_checkpoint" / "bonito"
    model = resolve(str(folder), "BONITO_MODEL", may_be_adapter=True)
    assert model.folder == tmp_path / "base-model"
    record = json.loads((folder / "training.json").read_text())
    assert (record["pairs"]["rows"], record["steps"]) == (30, 6)
    assert record["sources"][0]["license"] == "cc0-1.0"
    assert "6 steps of 4 pairs" in (folder / "README.md").read_text()
    (event,) = outcome.asset_materializations_for_node("bonito_checkpoint")
    assert "data:image/png;base64" in event.metadata["loss curve"].value
    assert not (tmp_path / ".checkpoints" / "bonito_checkpoint").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"method": "magic"}, "there is no 'magic'; choose scratch or qlora"),
        ({"method": "qlora"}, "BONITO_BASE_MODEL: .*base-model' does not exist"),
        ({"method": "qlora", "base_model": "/none/here"}, "'/none/here' does not exist"),
    ],
)
def test_a_method_or_base_model_that_is_not_there_is_named(
    tmp_path: Path, config: dict, message: str
) -> None:
    outcome = _materialize(tmp_path, ctga={"pairs": 20}, bonito_checkpoint=config)
    assert re.search(message, str(outcome.failure_data_for_node("bonito_checkpoint")))
    assert not (tmp_path / "bonito_checkpoint").exists()


def test_an_unknown_setting_of_tuning_is_named(tmp_path: Path) -> None:
    make_base_model(tmp_path / "base-model")
    config = {"method": "qlora", "tuning": {"lora_rank": 3}}
    outcome = _materialize(tmp_path, ctga={"pairs": 20}, bonito_checkpoint=config)
    cause = str(outcome.failure_data_for_node("bonito_checkpoint"))
    assert "unknown key 'lora_rank'; did you mean 'lora_r'?" in cause


def test_a_wrong_source_fails_with_its_path_and_writes_nothing(tmp_path: Path) -> None:
    source = {"path": "nowhere.jsonl", "name": "lost", "license": "cc0-1.0"}
    outcome = _materialize(tmp_path, ctga={"sources": [source]})
    assert not outcome.success
    assert "nowhere.jsonl: no such file" in str(outcome.failure_data_for_node("ctga"))
    assert not (tmp_path / "ctga").exists()


def test_too_few_pairs_are_refused_with_the_number_to_set(tmp_path: Path) -> None:
    outcome = _materialize(tmp_path, ctga={"pairs": 50}, bonito_checkpoint={})
    assert "set `pairs` of the asset ctga to 768" in str(
        outcome.failure_data_for_node("bonito_checkpoint")
    )


def test_a_setting_changes_the_preset_and_an_unknown_preset_is_named() -> None:
    shape, plan = settings(CheckpointConfig(preset="demo", bonito_minutes=5.0))
    assert (shape.layers, plan.bonito_minutes) == (6, 5.0)
    with pytest.raises(ValueError, match="no 'huge'; choose one of: small, demo"):
        settings(CheckpointConfig(preset="huge"))
