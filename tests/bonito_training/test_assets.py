"""The two assets, from nothing to two checkpoints that load."""

from __future__ import annotations

import json
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
from resources.store import Store


def _materialize(root: Path, **config: dict) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [ctga, bonito_checkpoint],
        resources={"store": Store(root=str(root))},
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
    assert "data:image/png;base64" in metadata["loss"].value


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
