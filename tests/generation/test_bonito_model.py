"""The asset `bonito_model`: another model makes what was generated stale."""

from __future__ import annotations

import json
import shutil

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from bonito_assets import settings
from bonito_assets.catalogue import corpora
from bonito_assets.generation.assets import bonito_model
from resources.vllm_engine import VllmEngine


@dg.asset(partitions_def=corpora, deps=["bonito_model"])
def generations() -> None:
    """Stands for the real one, which would start an engine."""


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(settings.DEMO_MODEL, folder)
    return folder


@pytest.fixture
def adapter(tmp_path, checkpoint):
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"base_model_name_or_path": str(checkpoint), "peft_type": "LORA", "r": 8}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"halves")
    return folder


def _materialize(opened, name, *assets, **more):
    return dg.materialize(
        list(assets),
        instance=opened,
        resources={"generator": VllmEngine(model=str(name))},
        raise_on_error=False,
        **more,
    )


def _is_stale(opened) -> bool:
    known = dg.Definitions(
        [bonito_model, generations], resources={"generator": VllmEngine(model="any")}
    )
    graph = known.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(opened, graph, LoadingContextForTest(opened))
    return resolver.get_status(dg.AssetKey("generations"), "letters") == StaleStatus.STALE


@pytest.fixture
def opened(checkpoint):
    """An instance in which `generations` of the corpus letters is fresh."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(corpora.name, ["letters"])
        assert _materialize(instance, checkpoint, bonito_model).success
        chosen = {"selection": [generations], "partition_key": "letters"}
        assert _materialize(instance, checkpoint, bonito_model, generations, **chosen).success
        assert not _is_stale(instance)
        yield instance


def test_the_same_model_looked_at_again_leaves_generations_fresh(opened, checkpoint):
    assert _materialize(opened, checkpoint, bonito_model).success
    assert not _is_stale(opened)


def test_a_moved_model_leaves_generations_fresh(opened, checkpoint, tmp_path):
    moved = checkpoint.rename(tmp_path / "elsewhere")
    assert _materialize(opened, moved, bonito_model).success
    assert not _is_stale(opened)


def test_trained_weights_make_generations_stale(opened, checkpoint):
    with (checkpoint / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert _materialize(opened, checkpoint, bonito_model).success
    assert _is_stale(opened)


def test_an_adapter_over_the_same_model_makes_generations_stale(opened, adapter):
    outcome = _materialize(opened, adapter, bonito_model)
    assert outcome.success
    (event,) = outcome.asset_materializations_for_node("bonito_model")
    assert event.metadata["adapter"].value == str(adapter)
    assert _is_stale(opened)


def test_a_model_that_cannot_run_here_fails_with_what_is_lacking(opened, checkpoint, monkeypatch):
    from resources import vllm_engine

    monkeypatch.setattr(vllm_engine, "find_cards", list)
    monkeypatch.setattr(vllm_engine, "cpu_features", lambda: {"avx2"})
    config = json.loads((checkpoint / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (checkpoint / "config.json").write_text(json.dumps(config))
    outcome = _materialize(opened, checkpoint, bonito_model)
    assert not outcome.success
    assert "CPU without AVX-512" in str(outcome.failure_data_for_node("bonito_model"))
    assert not _is_stale(opened)


def test_the_word_checkpoint_means_what_bonito_checkpoint_made(monkeypatch, tmp_path):
    monkeypatch.setenv("BONITO_MODEL", "checkpoint")
    monkeypatch.setenv("BONITO_DATA", str(tmp_path))
    assert settings.model() == str(tmp_path / "bonito_checkpoint" / "bonito")
    monkeypatch.setenv("BONITO_DATA", "s3://bucket/data")
    with pytest.raises(settings.SettingError, match="copy its folder bonito_checkpoint/bonito"):
        settings.model()
