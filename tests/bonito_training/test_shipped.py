"""The two checkpoints that the repository ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bonito_assets.bonito_training import network
from bonito_assets.bonito_training.assets import CheckpointConfig, CtgaConfig
from bonito_assets.generation.prompts import prompt as bonito_prompt

_MODELS = Path(__file__).resolve().parents[2] / "models"
_FOLDERS = ("base-demo", "bonito-demo")


def test_both_folders_together_take_at_most_16_megabytes() -> None:
    files = [path for name in _FOLDERS for path in (_MODELS / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000


@pytest.mark.parametrize("name", _FOLDERS)
def test_a_folder_holds_a_mistral_checkpoint_in_bfloat16_and_safetensors_only(name: str) -> None:
    config = json.loads((_MODELS / name / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    assert config["dtype"] == "bfloat16"
    assert config["max_position_embeddings"] >= 2048
    weights = [
        p.name for p in (_MODELS / name).iterdir() if p.suffix in (".bin", ".pt", ".safetensors")
    ]
    assert weights == ["model.safetensors"]


@pytest.mark.parametrize("name", _FOLDERS)
def test_the_tokenizer_is_fast_and_keeps_the_markers_when_special_tokens_are_left_out(
    name: str,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_MODELS / name)
    assert tokenizer.is_fast
    assert tokenizer.unk_token is None
    text = (
        bonito_prompt('A "quoted" word, 1,200 birds and a café.', "nli")
        + "{{context}}\n<|pipe|>\nNo"
    )
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    for marker in network.MARKERS:
        assert len(tokenizer(marker, add_special_tokens=False)["input_ids"]) == 1


def test_both_checkpoints_share_one_tokenizer() -> None:
    base, bonito = (_MODELS / name / "tokenizer.json" for name in _FOLDERS)
    assert base.read_bytes() == bonito.read_bytes()


@pytest.mark.parametrize("name", _FOLDERS)
def test_a_card_says_what_the_model_is_not_and_names_every_source_with_its_licence(
    name: str,
) -> None:
    text = (_MODELS / name / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "cc-by-sa-4.0"
    assert "Never use what it writes to train anything real" in " ".join(body.split())
    assert "no safety training" in " ".join(body.split())
    record = json.loads((_MODELS / name / "training.json").read_text())
    for source in record["sources"]:
        assert f"| {source['name']} | {source['license']} |" in body


def test_the_recipe_is_a_run_configuration_of_the_two_assets() -> None:
    ops = json.loads((_MODELS / "recipe.json").read_text())["ops"]
    CtgaConfig(**ops["ctga"]["config"])
    CheckpointConfig(**ops["bonito_checkpoint"]["config"])
    named = {source["name"] for source in ops["ctga"]["config"]["sources"]} | {"grammar"}
    record = json.loads((_MODELS / "bonito-demo" / "training.json").read_text())
    assert named == {source["name"] for source in record["sources"]}
